"""The demo of every method: images from the command line, through a model, to pictures, a page and json."""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Iterable, Iterator, List, Optional, Sequence, TextIO, Tuple, TypeVar, Union

import numpy as np
from tqdm import tqdm

from fullconv.lib.dataset.image import ImageError
from fullconv.lib.dataset.image_files import DEMO_FOLDER, UsageError, distinct_names, find_images, read_upright
from fullconv.lib.engines.network import ENGINES, FP32, MXNET, PRECISIONS, Choice, check_choice, first_installed
from fullconv.lib.experiment.demo_video import run_film
from fullconv.lib.experiment.foreseen import FORESEEN, explain
from fullconv.lib.experiment.model_file import ModelFile, find_model
from fullconv.lib.structures.detections import Detections
from fullconv.lib.utils.bar import on_terminal, size
from fullconv.lib.visualize.page import Picture, write_page

if TYPE_CHECKING:  # a demo of an exported network runs where MXNet is not installed
    import mxnet as mx

_Item = TypeVar("_Item")


class Demo:
    """What a method's demo says: its own options, how its model is loaded, and what one image gives.

    title: of the page. default_model, default_out: taken without these options. default_json: name of a file in --out
    that is taken for --json; "": none. endings: of files that can be a model. advice: lines that
    say where to get one. When `load` is called, `args` are the options, `model` is the file they name and `names` has a
    name for every image, by which it differs from the others.
    """

    title = "demo"
    default_model = ""
    default_out = "output/demo"
    default_json = ""
    endings: Tuple[str, ...] = (".params",)
    advice = ""
    model: ModelFile

    def __init__(self) -> None:
        self.args = argparse.Namespace()
        self.out = Path()
        self.names: Dict[Path, str] = {}

    def add_options(self, options: argparse.ArgumentParser) -> None:
        """Options besides those of all demos."""

    def find(self) -> ModelFile:
        """The model that --model and --epoch say. Raises UsageError: it is not there."""
        return find_model(self.args.model, self.args.epoch, self.endings, self.advice)

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

    def lines(self, path: Path, words: str, seconds: float) -> Iterator[str]:
        """What is printed of an image, whose `words` came from `results` after so many seconds."""
        yield f"{path}: {words} ({seconds:.2f} s)"

    def frame(self, image: np.ndarray, name: str) -> Tuple[str, np.ndarray]:
        """The same for a frame of a film: one picture, of the frame's size."""
        words, pictures = self.results(image, Path(name))
        return words, pictures[0].image

    def name(self, path: Path) -> str:
        """What an image is called in results."""
        return self.names.get(path, path.name)

    def write(self) -> Iterator[str]:
        """Write what belongs to all images; a line about each file."""
        yield from ()

    @property
    def note(self) -> str:
        """A sentence for the head of the page."""
        return ""

    def choice(self) -> Choice:
        """What computes the network: --engine, else MXNet for checkpoints, and for an exported file what is installed.

        Raises EngineError: no such engine, or none that reads exported files is there.
        """
        engine = self.args.engine or (first_installed() if self.model.exported else MXNET)
        gpu = bool(self.args.gpus) or self.args.devices.startswith("gpu")
        choice = Choice(engine, self.args.precision, gpu)
        check_choice(choice)
        return choice

    def context(self) -> mx.Context:
        """The device that the command line or the model's configuration names."""
        from fullconv.lib.core.devices import parse_devices

        if self.choice().engine != MXNET:
            # MXNet reads the parameters, whatever devices it sees; the engine finds its own.
            return parse_devices("", "cpu")[0]
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
    options.add_argument("--recursive", action="store_true", help="images in folders inside of the folders too")
    options.add_argument("--video", metavar="FILE|N", help="instead of images a film, or camera number N, into a film")
    options.add_argument("--frames", type=int, default=0, metavar="N", help="of a film, only the first N frames")
    options.add_argument("--cfg", help="yaml file (default: the one that training left beside the model)")
    options.add_argument(
        "--model", default=demo.default_model, help="a file, or the prefix of checkpoints (default: %(default)s)"
    )
    options.add_argument("--epoch", type=int, help="number of the checkpoint of a prefix (default: the newest)")
    options.add_argument(
        "--out", default=demo.default_out, help="folder for pictures and index.html (default: %(default)s)"
    )
    options.add_argument("--json", metavar="FILE", help=f"write what was found as json{_inside_out(demo.default_json)}")
    options.add_argument("--engine", choices=ENGINES, help="what computes the network (default: mxnet for checkpoints)")
    options.add_argument("--precision", choices=PRECISIONS, default=FP32, help="bf16: faster, with openvino")
    options.add_argument("--gpus", default="", help="number of the GPU to use")
    options.add_argument("--devices", default="", help="cpu or gpu:0")
    options.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY VALUE", help="configuration to change"
    )
    demo.add_options(options)
    return options


def _inside_out(name: str) -> str:
    return f" (default: {name} in --out)" if name else ""


def found_or_best(found: Detections, thresh: Union[float, np.ndarray], classes: Sequence[str]) -> str:
    """How many of each class have a score of at least `thresh`, one number or one per label; where none has, which was
    best, and what shows it.
    """
    labels = [classes[label] for label in found.above(thresh).best_first().labels]
    if labels:
        return ", ".join(f"{labels.count(name)} {name}" for name in dict.fromkeys(labels))
    best = found.best_first().select(np.arange(min(1, len(found))))
    least = f"at least {'its class threshold' if isinstance(thresh, np.ndarray) else format(thresh, 'g')}"
    if not len(best):
        return f"nothing with a score of {least}, nor with any"
    score = float(best.scores[0])
    digits = max(1, -math.floor(math.log10(max(score, 1e-9))))
    lower = math.floor(score * 10**digits) / 10**digits  # one significant digit, so that it is shown
    return (
        f"nothing with a score of {least}; the best is {classes[best.labels[0]]} with {score:.3g}: "
        f"--thresh {lower:g} shows it"
    )


def progress(items: Iterable[_Item], total: Optional[int]) -> Iterator[_Item]:
    """The items, with a bar on a terminal."""
    yield from tqdm(items, total=total, disable=not on_terminal(), unit="image", leave=False, **size())


def say(line: str, stream: Optional[TextIO] = None) -> None:
    """A line on the console (default: stdout) that leaves a bar whole."""
    tqdm.write(line, file=stream or sys.stdout)


class _Tour:
    """The way through the images: what is read, how long it took, what failed."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.seconds: List[float] = []
        self.failed: List[str] = []

    def pictures(self, paths: Sequence[Path]) -> Iterator[Picture]:
        """The results of each readable image; the others are reported and counted."""
        for path in progress(paths, len(paths)):
            try:
                image = read_upright(path)
                self.demo.check(image, path)
            except (ImageError, OSError) as error:
                say(f"skipped: {error}", sys.stderr)
                self.failed.append(str(path))
                continue
            started = time.perf_counter()
            words, pictures = self.demo.results(image, path)
            self.seconds.append(time.perf_counter() - started)
            for line in self.demo.lines(path, words, self.seconds[-1]):
                say(line)
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
    if demo.default_json:
        demo.args.json = demo.args.json or str(demo.out / demo.default_json)
    try:
        # The model first: without one it does not matter which images there are.
        demo.model = demo.find()
        _refuse_unheard(demo)
        return _film(demo) if demo.args.video is not None else _images(demo)
    except FORESEEN as error:
        print(f"demo: {explain(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130


def _refuse_unheard(demo: Demo) -> None:
    """Raise UsageError: options that an exported file, which has its configuration inside, would not hear."""
    given = [option for option in ("cfg", "set") if getattr(demo.args, option)]
    if demo.model.exported and given:
        raise UsageError(
            f"--{given[0]} belongs to checkpoints: {demo.model.path} has its configuration inside; export it with "
            f"--{given[0]} instead"
        )


def _images(demo: Demo) -> int:
    paths = find_images(demo.args.images, demo.args.recursive, demo.out)
    demo.names = distinct_names(paths)
    demo.load(paths)
    tour = _Tour(demo)
    page = write_page(demo.out, tour.pictures(paths), demo.title, demo.note)
    for line in demo.write():
        print(line)
    tour.summary(page, len(paths))
    return 1 if tour.failed else 0


def _film(demo: Demo) -> int:
    if demo.args.images:
        raise UsageError(f"--video {demo.args.video}: give images or a film, not both ({demo.args.images[0]})")
    demo.load([])

    def draw(image: np.ndarray, name: str) -> Tuple[str, np.ndarray]:
        demo.check(image, Path(name))
        return demo.frame(image, name)

    run_film(demo.args.video, demo.args.frames, demo.out, draw, progress, say)
    for line in demo.write():
        print(line)
    return 0
