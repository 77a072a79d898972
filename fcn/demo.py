"""Label every pixel of images with a trained FCN: pictures, index PNGs, a page to look at them, and json.

    python fcn/demo.py photo.jpg folder/ --model output/fcn/shapes/shapes_fcn/train2400/voc-fcn8s --out output/demo
    python fcn/demo.py photo.jpg --model fcn8s-heavy-pascal.caffemodel --network voc-fcn8s
    python fcn/demo.py --video film.mp4 --out output/demo          # or --video 0, the first camera

Images of any size; large ones are run in pieces, with the same scores. Without images, those in ./demo are taken.
Exit code: 0, all images done; 1, some could not be read; 2, no model, no image, or results cannot be written.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a script, Python would look for modules beside it, and find fcn/test.py
    sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402

from fullconv.fcn import exported  # noqa: E402
from fullconv.lib.dataset.image import ImageError, image_size  # noqa: E402
from fullconv.lib.dataset.image_files import UsageError  # noqa: E402
from fullconv.lib.dataset.segmentation.palette import write_palette_png  # noqa: E402
from fullconv.lib.experiment import demo  # noqa: E402
from fullconv.lib.utils import atomic  # noqa: E402
from fullconv.lib.visualize.page import Picture  # noqa: E402
from fullconv.lib.visualize.segmentation_gallery import add_legend, draw_labels, palette_of  # noqa: E402

ADVICE = """\
  get one:   put a published .caffemodel into model/ (experiments/fcn/README.md)
  train one: python experiments/fcn/fcn_end2end_train_test.py --cfg experiments/fcn/cfgs/shapes_fcn.yaml
  then:      python fcn/demo.py IMAGE --model output/fcn/shapes/shapes_fcn/train2400/voc-fcn8s"""


class FCNDemo(demo.Demo):
    """A class for every pixel."""

    title = "FCN demo"
    default_model = "model/fcn8s-heavy-pascal.caffemodel"
    endings = (".caffemodel", ".params", ".onnx")
    advice = ADVICE
    note = "index PNGs are in labels/"

    def add_options(self, options: argparse.ArgumentParser) -> None:
        """Options of segmentation."""
        add_network(options)
        options.add_argument("--tile", type=int, help="run larger images in pieces of at most this side")

    def load(self, paths: Sequence[Path]) -> None:
        """The network with its weights, its class names, and the mean of the set it was trained on."""
        args, model = self.args, self.model
        if model.exported:
            if args.network:
                raise UsageError(f"--network {args.network} belongs to weights: {model.path} is a whole network")
            self.segmenter, self.input, self.classes = exported.load(model.path, self.choice(), args.tile or 0)
        else:
            # An exported network runs where MXNet is not installed, which these import.
            from fullconv.fcn.model import segmenter
            from fullconv.fcn.published import load

            found = load(model, args.cfg, args.set, args.network)
            self.config, self.input, self.classes = found.config, found.images, found.classes
            tile = self.config.TEST.tile if args.tile is None else args.tile
            self.segmenter = segmenter(*found.trained, self.context(), largest_size(paths), tile, self.choice())
        self.stems: Set[str] = set()
        self.records: List[Dict[str, Any]] = []

    def devices(self) -> Tuple[str, str]:
        """Those of the configuration."""
        return self.config.gpus, self.config.default.devices

    def results(self, image: np.ndarray, path: Path) -> Tuple[str, List[Picture]]:
        """Segment, write index PNGs and draw, per label map."""
        found, stem = self.segment(image), self.unused_stem(path)
        words, pictures = self.describe(found), []
        for task, labels in found.items():
            classes, several = self.classes[task], len(found) > 1
            folder = self.out / "labels" / task if several else self.out / "labels"
            folder.mkdir(parents=True, exist_ok=True)
            write_palette_png(str(folder / f"{stem}.png"), labels, palette_of(classes))
            drawn = add_legend(draw_labels(image, labels, classes), labels, classes)
            pictures.append(Picture(f"{stem}_{task}.jpg" if several else f"{stem}.jpg", drawn, words[task]))
        self.record(self.name(path), image, found)
        return "; ".join(words.values()), pictures

    def frame(self, image: np.ndarray, name: str) -> Tuple[str, np.ndarray]:
        """The first label map over a frame; no index PNGs, and no legend, whose width would change."""
        found = self.segment(image)
        self.record(name, image, found)
        task, labels = next(iter(found.items()))
        return "; ".join(self.describe(found).values()), draw_labels(image, labels, self.classes[task])

    def segment(self, image: np.ndarray) -> Dict[str, np.ndarray]:
        """Labels (h, w) per label map of a BGR image (h, w, 3)."""
        return self.segmenter.segment(self.input.tensors(image))

    def areas(self, task: str, labels: np.ndarray) -> Dict[str, int]:
        """Pixels of every class that is there, most first."""
        classes = self.classes[task]
        counts = np.bincount(labels.ravel(), minlength=len(classes))
        return {classes[k]: int(counts[k]) for k in np.argsort(-counts, kind="stable") if counts[k]}

    def describe(self, found: Dict[str, np.ndarray]) -> Dict[str, str]:
        """Per label map, in words, how much of the image each class has."""
        return {
            task: ", ".join(f"{name} {100 * n / labels.size:.1f} %" for name, n in self.areas(task, labels).items())
            for task, labels in found.items()
        }

    def record(self, name: str, image: np.ndarray, found: Dict[str, np.ndarray]) -> None:
        """Keep for the json, where one is wanted; a camera would fill the memory otherwise."""
        if self.args.json:
            areas = {task: self.areas(task, labels) for task, labels in found.items()}
            self.records.append({"file": name, "height": image.shape[0], "width": image.shape[1], "pixels": areas})

    def unused_stem(self, path: Path) -> str:
        """The image's name without ending and slashes; numbered when another image of this run has it."""
        base = os.path.splitext(self.name(path))[0].replace("/", "_")
        stem, number = base, 1
        while stem.lower() in self.stems:
            number += 1
            stem = f"{base}-{number}"
        self.stems.add(stem.lower())
        return stem

    def write(self) -> Iterator[str]:
        """Pixels of every class per image, as json."""
        if self.args.json:
            Path(self.args.json).absolute().parent.mkdir(parents=True, exist_ok=True)
            atomic.write_text(self.args.json, json.dumps(self.records, indent=1) + "\n")
            yield f"pixels per class of {len(self.records)} images in {self.args.json}"


def add_network(options: argparse.ArgumentParser) -> None:
    """The option that says which network weights belong to."""
    options.add_argument("--network", help="which network it is (default: from the configuration, else voc-fcn8s)")


def largest_size(paths: Sequence[Path]) -> Tuple[int, int]:
    """Height and width that hold every readable image, turned either way."""
    sizes = []
    for path in paths:
        try:
            sizes.append(image_size(str(path)))
        except (ImageError, OSError):
            continue  # reported when its turn comes
    return (max((h for h, _ in sizes), default=1), max((w for _, w in sizes), default=1))


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the demo; returns the exit code."""
    return demo.run(FCNDemo(), __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
