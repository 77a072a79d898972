"""Any set's labels as index PNGs that every program reads, shown in VOC's colours.

    python -m fullconv.lib.tools.convert_labels --dataset sbd --image_set train --dataset_path DIR --out DIR

With --instances instance ids, with --palette FILE colour-coded PNGs of the form `folder`.

Turns SBD's, NYUD's, SIFT Flow's and PASCAL-Context's .mat files and colour-coded PNGs into `<out>/<id>.png`: 0 to
C - 1, and 255 where nothing is labelled. Every label is checked on the way; a wrong one stops the conversion.
"""

from __future__ import annotations

import argparse
import os
from typing import Iterator

from fullconv.lib.dataset.registry import SEGMENTATION, add_arguments, segmentation_from
from fullconv.lib.dataset.segmentation.base import SegmentationSet
from fullconv.lib.dataset.segmentation.palette import write_palette_png


def convert(dataset: SegmentationSet, out: str, task: str = "", instances: bool = False) -> Iterator[str]:
    """Write the labels of `task` (default the set's first), or instance ids; yields every file when it is written.

    Raises DatasetError: a label that cannot be right, a set without instances. OSError: the folder cannot be written.
    """
    for index, image_id in enumerate(dataset.image_ids):
        if instances:
            labels = dataset.read_instances(index)
        else:
            labels = dataset.read_label(index, task or next(iter(dataset.tasks)))
        path = os.path.join(out, f"{image_id}.png")
        os.makedirs(os.path.dirname(path), exist_ok=True)  # ids may have a folder
        write_palette_png(path, labels)
        yield path


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Write a set's labels as index PNGs.")
    add_arguments(parser, SEGMENTATION)
    parser.add_argument("--out", required=True, help="folder to write <id>.png to")
    parser.add_argument("--task", default="", help="siftflow: sem or geo")
    parser.add_argument("--instances", action="store_true", help="voc, sbd, shapes: instance ids instead of classes")
    args = parser.parse_args(argv)
    count = 0
    try:
        dataset = segmentation_from(args)
        for count, _ in enumerate(convert(dataset, args.out, args.task, args.instances), 1):
            if count % 100 == 0:
                print(f"{count} of {len(dataset)}")
    except ValueError as error:
        print(f"stopped after {count} labels: {error}")
        return 1
    print(f"{args.out}: {count} labels")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
