"""A page with the ground truth of a data set, to look at before training: boxes, masks and labels over their images.

    python -m fullconv.lib.tools.show PATH [--image_set SET] [--first 20] [--out DIR]

What PATH may be, and the options that name a set, are those of the checker.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import numpy as np

from fullconv.lib.dataset.detection.detection_set import DetectionSet
from fullconv.lib.dataset.image import read_image
from fullconv.lib.dataset.registry import DETECTION
from fullconv.lib.dataset.segmentation.base import SegmentationSet
from fullconv.lib.dataset.segmentation.label_files import VOID
from fullconv.lib.tools.check_objects import as_readable
from fullconv.lib.tools.data_forms import Found
from fullconv.lib.tools.set_arguments import add_arguments, chosen
from fullconv.lib.visualize.instances import draw_instances
from fullconv.lib.visualize.page import Picture, write_page
from fullconv.lib.visualize.segmentation_gallery import add_legend, draw_labels


def objects(dataset: DetectionSet, index: int, name: str) -> Picture:
    """One image with its objects: boxes, names, and masks where the set has them. Raises DatasetError or ImageError."""
    entry = dataset.read_entry(index)
    names = [dataset.classes[label] for label in entry.classes]
    masks = entry.read_masks() if entry.masks is not None else None
    picture = draw_instances(read_image(entry.image), entry.boxes, names, masks)
    counts = ", ".join(f"{count} {name}" for name, count in Counter(names).most_common())
    return Picture(f"{name}/{Path(entry.image).name}", picture, counts or "no objects")


def labels(dataset: SegmentationSet, index: int, name: str, task: str) -> Picture:
    """One image with the labels of a task over it and a legend. Raises DatasetError or ImageError."""
    form = "color" if "color" in dataset.inputs else dataset.inputs[0]
    classes, truth = dataset.tasks[task], dataset.read_label(index, task)
    picture = add_legend(draw_labels(dataset.read_input(index, form), truth, classes), truth, classes)
    values, counts = np.unique(truth, return_counts=True)
    shares = sorted(zip((100 * counts / truth.size).tolist(), values.tolist()), reverse=True)
    texts = [f"{'void' if label == VOID else classes[label]} {share:.1f} %" for share, label in shares]
    title = f"{name}/{dataset.image_ids[index]}" + (f" ({task})" if len(dataset.tasks) > 1 else "")
    return Picture(f"{title}.jpg", picture, ", ".join(texts))


def pictures(sets: Sequence[Found], args: argparse.Namespace, errors: list[str]) -> Iterator[Picture]:
    """The first images of every set; what cannot be read is left out and goes to `errors`."""
    for found in sets:
        try:
            dataset = (as_readable(found, args.boxes) if found.kind == DETECTION else found).open(args.root_path)
        except ValueError as error:  # DatasetError and ImageError, which name the file
            errors.append(str(error))
            continue
        for index in range(min(args.first, len(dataset))):
            for draw in _drawers(found.kind, dataset):
                try:
                    yield draw(dataset, index, f"{found.dataset} {found.image_set}")
                except ValueError as error:
                    errors.append(str(error))


def _drawers(kind: str, dataset: Any) -> list[Callable[[Any, int, str], Picture]]:
    if kind == DETECTION:
        return [objects]
    return [partial(labels, task=task) for task in dataset.tasks]


def main(argv: list[str] | None = None) -> int:
    """Command line; the exit status is 1 when there is something that cannot be drawn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--first", type=int, default=20, help="so many images of each set")
    parser.add_argument("--out", default="./output/show", help="folder for index.html and the pictures")
    args = parser.parse_args(argv)
    errors: list[str] = []
    try:
        sets = chosen(args)
    except ValueError as error:
        print(f"error: {error}")
        return 1
    title = ", ".join(dict.fromkeys(f"{found.dataset} {found.image_set}" for found in sets))
    drawn = []  # one picture is in memory at a time, only its name is kept

    def counted() -> Iterator[Picture]:
        for picture in pictures(sets, args, errors):
            drawn.append(picture.name)
            yield picture

    page = write_page(args.out, counted(), f"Ground truth: {title}", "As training sees it.")
    for text in errors:
        print(f"error: {text}")
    print(f"{page}: {len(drawn)} pictures")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
