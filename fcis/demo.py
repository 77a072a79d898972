"""Find objects in images with a trained FCIS: pictures, a page to look at them, and COCO json.

    python fcis/demo.py photo.jpg folder/ --out output/demo --json detections.json

Without --model the published COCO network is used. Without images, those in ./demo are taken.
Exit code: 0, all images done; 1, some could not be read; 2, no model, no image, or results cannot be written.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, Optional, Sequence

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a script, Python would look for modules beside it, and find fcis/test.py
    sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402

from fullconv.fcis import config as fcis_config  # noqa: E402
from fullconv.fcis.loader import check_elongation  # noqa: E402
from fullconv.fcis.symbols.fcis import GROUP  # noqa: E402
from fullconv.fcis.tester import Detector  # noqa: E402
from fullconv.lib.core import checkpoint  # noqa: E402
from fullconv.lib.core.devices import parse_devices  # noqa: E402
from fullconv.lib.dataset.background import BACKGROUND  # noqa: E402
from fullconv.lib.dataset.detection.coco_categories import COCO_CATEGORIES  # noqa: E402
from fullconv.lib.dataset.detection.coco_json import CocoFile  # noqa: E402
from fullconv.lib.dataset.image import ImageError  # noqa: E402
from fullconv.lib.dataset.image_files import DEMO_FOLDER, UsageError, find_images, read_upright  # noqa: E402
from fullconv.lib.dataset.voc_files import VOC_CLASSES  # noqa: E402
from fullconv.lib.experiment import command_line as experiment  # noqa: E402
from fullconv.lib.experiment.config import parse_overrides  # noqa: E402
from fullconv.lib.visualize.instances import draw_detections  # noqa: E402
from fullconv.lib.visualize.page import Picture, write_page  # noqa: E402

PUBLISHED = "model/fcis_coco"
PUBLISHED_CFG = ROOT / "experiments" / "fcis" / "cfgs" / "fcis_coco_demo.yaml"


def parser() -> argparse.ArgumentParser:
    """Command line of the demo."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("images", nargs="*", help=f"image files and folders of images (default: ./{DEMO_FOLDER})")
    options.add_argument("--cfg", help="yaml file (default: <model>-config.yaml, else fcis_coco_demo.yaml)")
    options.add_argument("--model", default=PUBLISHED, metavar="PREFIX", help="checkpoint PREFIX-%%04d.params")
    options.add_argument("--epoch", type=int, help="epoch of the checkpoint (default: the newest)")
    options.add_argument("--out", default="output/demo", help="folder for pictures and index.html")
    options.add_argument("--thresh", type=float, default=0.7, help="least score to show (default: 0.7)")
    options.add_argument("--json", metavar="FILE", help="also write the detections as a COCO file")
    options.add_argument("--polygons", action="store_true", help="outlines instead of RLE in the json file")
    options.add_argument("--gpus", default=None, help="number of the GPU to use")
    options.add_argument("--devices", default=None, help="cpu or gpu:0")
    options.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY VALUE", help="configuration to change"
    )
    return options


def load_model(args: argparse.Namespace) -> tuple:
    """(file, arguments, auxiliary states) of the checkpoint.

    The box layer is taken as it was trained, not its `*_test` copy with the normalisation folded in: the network
    applies the normalisation itself, and the original's demo applied it twice.

    Raises UsageError: no such model; CheckpointError: a damaged one.
    """
    there = checkpoint.epochs(args.model)
    epoch = args.epoch if args.epoch is not None else checkpoint.latest(args.model)
    if epoch is None and there:
        epoch = there[-1]  # damaged, as all of them: loading it says how
    path = Path(checkpoint.params_path(args.model, 0 if epoch is None else epoch))
    if path.is_file():
        return (str(path), *checkpoint.load_params(args.model, epoch))
    others = ", ".join(map(str, there))
    raise UsageError(
        f"no model: looked for {path.absolute()}"
        + (f", found epochs {others}: choose with --epoch.\n" if others else ".\n")
        + "  get one:   put the published fcis_coco-0000.params into model/ (README, Pretrained and published models)\n"
        "  train one: python experiments/fcis/fcis_end2end_train_test.py --cfg "
        "experiments/fcis/cfgs/resnet_small_shapes_fcis.yaml\n"
        "  then:      python fcis/demo.py IMAGE --model output/fcis/shapes/resnet_small_shapes_fcis/train/e2e"
    )


def load_config(args: argparse.Namespace):
    """The config given, the one saved beside the model, or the published demo's."""
    beside = Path(f"{args.model}-config.yaml")
    return fcis_config.load(args.cfg or str(beside if beside.is_file() else PUBLISHED_CFG), parse_overrides(args.set))


def class_names(prefix: str, params: Mapping) -> Dict[int, str]:
    """Category id -> name of the model's classes: from PREFIX-classes.txt, else COCO's or VOC's by their number.

    Raises UsageError: classes.txt names another number of classes than the model has.
    """
    if "fcis_cls_seg_bias" not in params:
        raise UsageError(f"{prefix}: no FCIS model, it has no fcis_cls_seg_bias; is it the pretrained backbone?")
    count = params["fcis_cls_seg_bias"].size // (2 * GROUP * GROUP) - 1
    file = Path(f"{prefix}-classes.txt")
    if file.is_file():
        names = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()][1:]
        if len(names) != count:
            raise UsageError(
                f"{file} names {len(names)} classes besides the background, the model has {count}: correct it"
            )
    elif count == len(COCO_CATEGORIES):
        return dict(COCO_CATEGORIES)
    elif count == len(VOC_CLASSES):
        names = list(VOC_CLASSES)
    else:
        print(f"{file} is absent, so classes are numbered; write {count + 1} names there, background first")
        names = [f"class {k}" for k in range(1, count + 1)]
    return dict(enumerate(names, start=1))


class Demo:
    """Runs images through a detector and keeps account of what came out."""

    def __init__(self, detector, names: Mapping[int, str], args: argparse.Namespace) -> None:
        self.detector, self.names, self.args = detector, list(names.values()), args
        self.file = CocoFile(names, args.polygons, detector.config.BINARY_THRESH)
        self.seconds: List[float] = []
        self.failed: List[str] = []

    def pictures(self, paths: Sequence[Path]) -> Iterator[Picture]:
        """The result of each readable image; the others are reported and counted."""
        for path in paths:
            try:
                image = read_upright(path)
                check_elongation(image.shape[:2], self.detector.config.SCALES[:1], str(path))
            except (ImageError, OSError) as error:
                print(f"skipped: {error}", file=sys.stderr)
                self.failed.append(str(path))
                continue
            yield self.picture(path, image)

    def picture(self, path: Path, image: np.ndarray) -> Picture:
        """Detect, report, record and draw."""
        start = time.perf_counter()
        found = self.detector.detect(image).above(self.args.thresh).best_first()
        self.seconds.append(time.perf_counter() - start)
        labels = [self.names[c - 1] for c in found.labels]
        counts = ", ".join(f"{labels.count(name)} {name}" for name in dict.fromkeys(labels)) or "nothing"
        print(f"{path}: {counts} ({self.seconds[-1]:.2f} s)")
        self.file.add(path.name, image.shape[:2], found)
        drawn = draw_detections(image, found, [BACKGROUND, *self.names], self.detector.config.BINARY_THRESH)
        return Picture(path.name, drawn, f"{counts}; {self.seconds[-1]:.2f} s")

    def run(self, paths: Sequence[Path]) -> int:
        """All images, page and json; returns the exit code."""
        note = f"scores of at least {self.args.thresh:g}"
        page = write_page(self.args.out, self.pictures(paths), "FCIS demo", note)
        if self.args.json:
            Path(self.args.json).absolute().parent.mkdir(parents=True, exist_ok=True)
            self.file.write(self.args.json)
            print(f"{len(self.file.annotations)} detections in {self.args.json}")
        if self.seconds:
            # The first image also pays for memory and for choosing convolution algorithms.
            usual = self.seconds[1:] or self.seconds
            print(f"{np.mean(usual):.2f} s per image over {len(usual)}; pictures: {page}")
        if self.failed:
            print(f"{len(self.failed)} of {len(paths)} images could not be read", file=sys.stderr)
        return 1 if self.failed else 0


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the demo; returns the exit code."""
    args = parser().parse_args(argv)
    try:
        source, params, states = load_model(args)
        paths = find_images(args.images)
        config = load_config(args)
        names = class_names(args.model, params)
        contexts = parse_devices(
            args.gpus or config.gpus, args.devices or ("" if args.gpus else config.default.devices)
        )
        detector = Detector(config, params, states, [BACKGROUND, *names.values()], contexts[0], source)
        return Demo(detector, names, args).run(paths)
    except experiment.FORESEEN as error:
        print(f"demo: {experiment.explain(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
