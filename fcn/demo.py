"""Segment images with a trained FCN: overlays with a legend, index PNGs with a palette, a page to look at them.

    python fcn/demo.py photo.jpg folder/ --model output/fcn/shapes/shapes_fcn/train2400/voc-fcn8s --out output/demo
    python fcn/demo.py photo.jpg --model fcn8s-heavy-pascal.caffemodel --network voc-fcn8s

Images of any size; large ones are run in pieces, with the same scores. Without images, those in ./demo are taken.
Exit code: 0, all images done; 1, some could not be read; 2, no model or no image to start with.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # as a script, Python would take fcn/test.py and others for modules of their own
    sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402

from fullconv.fcn import config as fcn_config  # noqa: E402
from fullconv.fcn.convert import load_exactly  # noqa: E402
from fullconv.fcn.data import class_files, demo_mean  # noqa: E402
from fullconv.fcn.preprocess import input_tensor  # noqa: E402
from fullconv.fcn.symbols import FCN, NETWORKS  # noqa: E402
from fullconv.fcn.tester import Segmenter  # noqa: E402
from fullconv.lib.core import checkpoint  # noqa: E402
from fullconv.lib.core.devices import parse_devices  # noqa: E402
from fullconv.lib.dataset.image import ImageError, image_size  # noqa: E402
from fullconv.lib.dataset.image_files import UsageError, find_images, read_upright  # noqa: E402
from fullconv.lib.dataset.segmentation import nyud, siftflow  # noqa: E402
from fullconv.lib.dataset.segmentation.label_files import read_names  # noqa: E402
from fullconv.lib.dataset.segmentation.palette import write_palette_png  # noqa: E402
from fullconv.lib.dataset.voc_files import VOC_CLASSES  # noqa: E402
from fullconv.lib.experiment import command_line as experiment  # noqa: E402
from fullconv.lib.visualize.page import Picture, write_page  # noqa: E402
from fullconv.lib.visualize.segmentation_gallery import add_legend, draw_labels, palette_of  # noqa: E402

FAMILIES = {"voc": "voc", "nyud": "nyud", "siftflow": "siftflow", "pascalcontext": "pascal_context"}
"""First word of a network's name -> the set it was published for."""
CLASSES = {
    "voc": {"label": ["background", *VOC_CLASSES]},
    "nyud": {"label": nyud.CLASSES},
    "siftflow": {"sem": siftflow.SEMANTIC, "geo": siftflow.GEOMETRIC},
}
FILES = (".caffemodel", ".params")


class Model(NamedTuple):
    """A network with its weights, what it was trained on, and the classes of each label map."""

    net: FCN
    params: Dict[str, np.ndarray]
    dataset: str
    classes: Dict[str, List[str]]


def parser() -> argparse.ArgumentParser:
    """Command line of the demo."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("images", nargs="*", help="image files and folders of images (default: ./demo)")
    options.add_argument(
        "--model",
        default="model/fcn8s-heavy-pascal.caffemodel",
        metavar="FILE",
        help="a .caffemodel, a .params file, or the prefix of checkpoints (default: %(default)s)",
    )
    options.add_argument("--network", help="which network it is (default: from <prefix>-config.yaml, else voc-fcn8s)")
    options.add_argument("--epoch", type=int, help="number of the checkpoint of a prefix (default: the newest)")
    options.add_argument("--out", default="output/demo", help="folder for pictures, labels/ and index.html")
    options.add_argument("--tile", type=int, default=1536, help="run larger images in pieces of at most this side")
    options.add_argument("--gpus", default="", help="number of the GPU to use")
    options.add_argument("--devices", default="", help="cpu or gpu:0")
    return options


def find_weights(model: str, epoch: Optional[int]) -> Tuple[str, str]:
    """(weight file, prefix that config and class names stand beside). Raises UsageError: no such file."""
    if model.endswith(FILES):
        path, prefix = model, os.path.splitext(model)[0]
        if model.endswith(".params"):
            prefix = prefix.rpartition("-")[0] or prefix
    else:
        path, prefix = checkpoint.params_path(model, epoch or checkpoint.latest(model) or 0), model
    if not os.path.isfile(path):
        raise UsageError(
            f"no model: looked for {os.path.abspath(path)}.\n"
            "  get one:   put a published .caffemodel into model/ (experiments/fcn/README.md)\n"
            "  train one: python experiments/fcn/fcn_end2end_train_test.py --cfg experiments/fcn/cfgs/shapes_fcn.yaml\n"
            "  then:      python fcn/demo.py IMAGE --model output/fcn/shapes/shapes_fcn/train2400/voc-fcn8s"
        )
    return path, prefix


def load_model(args: argparse.Namespace) -> Model:
    """What the options name.

    Raises UsageError, ConfigError, CheckpointError or ConvertError: absent, damaged, or another network's weights.
    """
    path, prefix = find_weights(args.model, args.epoch)
    name, dataset = args.network, ""
    beside = f"{prefix}-config.yaml"
    if os.path.isfile(beside):
        config = fcn_config.load(beside)
        name, dataset = name or config.symbol, config.dataset.dataset
    name = name or "voc-fcn8s"
    if name not in NETWORKS:
        raise UsageError(f"--network {name}: known are {', '.join(NETWORKS)}")
    net, params = load_exactly(name, path)
    if len(net.network.inputs) > 1:
        forms = " and ".join(i.name for i in net.network.inputs)
        raise UsageError(f"{name} needs {forms} of one scene; use fcn_end2end_test.py, which reads them together")
    return Model(net, params, dataset or FAMILIES[name.split("-")[0]], class_names(net, name, prefix))


def class_names(net: FCN, name: str, prefix: str) -> Dict[str, List[str]]:
    """Per label map from the files beside the model, else the published ones, else numbers.

    Raises UsageError: a file that names another number of classes than the model scores.
    """
    published = CLASSES.get(name.split("-")[0], {})
    endings = class_files({head.label: [head.label] for head in net.heads})
    found = {}
    for ending, (label,) in endings.items():
        count = next(head.classes for head in net.heads if head.label == label)
        file = f"{prefix}-classes{ending}.txt"
        if os.path.isfile(file):
            found[label] = read_names(file)
            if len(found[label]) != count:
                raise UsageError(f"{file} names {len(found[label])} classes, the model scores {count}: correct it")
        elif len(published.get(label, ())) == count:
            found[label] = list(published[label])
        else:
            print(f"{file} is absent, so classes are numbered; write {count} names there, one per line")
            found[label] = [f"class {k}" for k in range(count)]
    return found


class Demo:
    """Runs images through a segmenter and keeps account of what came out."""

    def __init__(self, model: Model, segmenter: Segmenter, out: str) -> None:
        self.model, self.segmenter, self.out = model, segmenter, Path(out)
        self.input = model.net.network.inputs[0]
        self.mean = demo_mean(model.dataset, self.input.kind)
        self.seconds: List[float] = []
        self.failed: List[str] = []
        self.stems: Set[str] = set()

    def pictures(self, paths: Sequence[Path]) -> Iterator[Picture]:
        """The results of each readable image; the others are reported and counted."""
        for path in paths:
            try:
                image = read_upright(path)
            except (ImageError, OSError) as error:
                print(f"skipped: {error}", file=sys.stderr)
                self.failed.append(str(path))
                continue
            yield from self.results(path, image)

    def results(self, path: Path, image: np.ndarray) -> Iterator[Picture]:
        """Segment, report, write index PNGs and draw, per label map."""
        start = time.perf_counter()
        # The original reads HHA in the file's order; every picture here arrives as B, G, R.
        pixels = np.ascontiguousarray(image[:, :, ::-1]) if self.input.kind == "hha" else image
        found = self.segmenter.segment({self.input.name: input_tensor(self.input.kind, pixels, self.mean)})
        self.seconds.append(time.perf_counter() - start)
        stem = self.unused_stem(path)
        for task, labels in found.items():
            classes = self.model.classes[task]
            several = len(found) > 1
            folder = self.out / "labels" / task if several else self.out / "labels"
            folder.mkdir(parents=True, exist_ok=True)
            write_palette_png(str(folder / f"{stem}.png"), labels, palette_of(classes))
            shares = np.bincount(labels.ravel(), minlength=len(classes)) / labels.size
            named = ", ".join(f"{classes[k]} {100 * shares[k]:.1f} %" for k in np.argsort(-shares) if shares[k])
            print(f"{path}: {named} ({self.seconds[-1]:.2f} s)")
            drawn = add_legend(draw_labels(image, labels, classes), labels, classes)
            yield Picture(f"{stem}_{task}.jpg" if several else f"{stem}.jpg", drawn, named)

    def unused_stem(self, path: Path) -> str:
        """The file's name without ending; numbered when another image of this run has it."""
        stem, number = path.stem, 1
        while stem in self.stems:
            number += 1
            stem = f"{path.stem}-{number}"
        self.stems.add(stem)
        return stem

    def run(self, paths: Sequence[Path]) -> int:
        """All images and the page; returns the exit code."""
        page = write_page(self.out, self.pictures(paths), "FCN demo", "index PNGs are in labels/")
        if self.seconds:
            # The first image also pays for memory.
            usual = self.seconds[1:] or self.seconds
            print(f"{np.mean(usual):.2f} s per image over {len(usual)}; pictures: {page}")
        if self.failed:
            print(f"{len(self.failed)} of {len(paths)} images could not be read", file=sys.stderr)
        return 1 if self.failed else 0


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
    args = parser().parse_args(argv)
    try:
        model = load_model(args)
        paths = find_images(args.images)
        ctx = parse_devices(args.gpus, args.devices)[0]
        segmenter = Segmenter(model.net, model.params, ctx, largest_size(paths), args.tile)
    except experiment.FORESEEN as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    return Demo(model, segmenter, args.out).run(paths)


if __name__ == "__main__":
    sys.exit(main())
