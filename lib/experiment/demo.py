"""The demo of every method: images from the command line, through a model, to pictures, a page and json."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Iterator, List, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from fullconv.lib.core.devices import parse_devices
from fullconv.lib.dataset.image import ImageError
from fullconv.lib.dataset.image_files import DEMO_FOLDER, find_images, read_upright
from fullconv.lib.experiment.command_line import FORESEEN, explain
from fullconv.lib.experiment.model_file import ModelFile, find_model
from fullconv.lib.visualize.page import Picture, write_page


class Demo:
    """What a method's demo says: its own options, how its model is loaded, and what one image gives.

    title: of the page. default_model: taken without --model. endings: of files that can be a model. advice: lines that
    say where to get one. When `load` is called, `args` are the options and `model` is the file they name.
    """

    title = "demo"
    default_model = ""
    endings: Tuple[str, ...] = (".params",)
    advice = ""
    model: ModelFile

    def __init__(self) -> None:
        self.args = argparse.Namespace()
        self.out = Path()

    def add_options(self, options: argparse.ArgumentParser) -> None:
        """Options besides those of all demos."""

    def load(self, paths: Sequence[Path]) -> None:
        """Load the model; `paths` are the images to come. Raises what FORESEEN lists."""
        raise NotImplementedError

    def devices(self) -> Tuple[str, str]:
        """(gpus, devices) where the command line names none."""
        return "", ""

    def check(self, image: np.ndarray, path: Path) -> None:
        """Raise ImageError for an image that the network cannot take."""

    def results(self, image: np.ndarray, path: Path) -> Tuple[str, List[Picture]]:
        """What is in a BGR image (h, w, 3) uint8, in words, and pictures of it; called once for each image."""
        raise NotImplementedError

    def write(self) -> Iterator[str]:
        """Write what belongs to all images; a line about each file."""
        yield from ()

    @property
    def note(self) -> str:
        """A sentence for the head of the page."""
        return ""

    def context(self) -> mx.Context:
        """The device that the command line or the model's configuration names."""
        gpus, devices = self.devices()
        if self.args.gpus:
            gpus, devices = self.args.gpus, f"gpu:{self.args.gpus}"
        return parse_devices(gpus, self.args.devices or devices)[0]


def parser(demo: Demo, description: str) -> argparse.ArgumentParser:
    """The command line of a demo."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    options.add_argument("images", nargs="*", help=f"image files and folders of images (default: ./{DEMO_FOLDER})")
    options.add_argument("--cfg", help="yaml file (default: the one that training left beside the model)")
    options.add_argument(
        "--model", default=demo.default_model, help="a file, or the prefix of checkpoints (default: %(default)s)"
    )
    options.add_argument("--epoch", type=int, help="number of the checkpoint of a prefix (default: the newest)")
    options.add_argument("--out", default="output/demo", help="folder for pictures and index.html")
    options.add_argument("--json", metavar="FILE", help="also write what was found as json")
    options.add_argument("--gpus", default="", help="number of the GPU to use")
    options.add_argument("--devices", default="", help="cpu or gpu:0")
    options.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY VALUE", help="configuration to change"
    )
    demo.add_options(options)
    return options


class _Tour:
    """The way through the images: what is read, how long it took, what failed."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.seconds: List[float] = []
        self.failed: List[str] = []

    def pictures(self, paths: Sequence[Path]) -> Iterator[Picture]:
        """The results of each readable image; the others are reported and counted."""
        for path in paths:
            try:
                image = read_upright(path)
                self.demo.check(image, path)
            except (ImageError, OSError) as error:
                print(f"skipped: {error}", file=sys.stderr)
                self.failed.append(str(path))
                continue
            started = time.perf_counter()
            words, pictures = self.demo.results(image, path)
            self.seconds.append(time.perf_counter() - started)
            print(f"{path}: {words} ({self.seconds[-1]:.2f} s)")
            yield from pictures

    def summary(self, page: Path, total: int) -> None:
        """What the whole tour came to."""
        if self.seconds:
            # The first image also pays for memory and for choosing convolution algorithms.
            usual = self.seconds[1:] or self.seconds
            print(f"{np.mean(usual):.2f} s per image over {len(usual)}; pictures: {page}")
        if self.failed:
            print(f"{len(self.failed)} of {total} images could not be read", file=sys.stderr)


def run(demo: Demo, description: str, argv: Optional[Sequence[str]] = None) -> int:
    """Run a demo. Exit code: 0, all images done; 1, some could not be read; 2, no model, no image, or results cannot be
    written; 130, interrupted.
    """
    demo.args = parser(demo, description).parse_args(argv)
    demo.out = Path(demo.args.out)
    try:
        # The model first: without one it does not matter which images there are.
        demo.model = find_model(demo.args.model, demo.args.epoch, demo.endings, demo.advice)
        paths = find_images(demo.args.images)
        demo.load(paths)
        tour = _Tour(demo)
        page = write_page(demo.out, tour.pictures(paths), demo.title, demo.note)
        for line in demo.write():
            print(line)
        tour.summary(page, len(paths))
    except FORESEEN as error:
        print(f"demo: {explain(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    return 1 if tour.failed else 0
