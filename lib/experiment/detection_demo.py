"""The demo of every method that finds objects: what is shown of detections, and the COCO json of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Dict, Iterator, List, Protocol, Tuple, Union

import numpy as np

from fullconv.lib.dataset.background import BACKGROUND
from fullconv.lib.dataset.detection.coco_json import CocoFile
from fullconv.lib.evaluation.thresholds import read_thresholds
from fullconv.lib.experiment.demo import Demo, found_or_best
from fullconv.lib.structures.detections import Detections
from fullconv.lib.visualize.instances import draw_detections
from fullconv.lib.visualize.page import Picture


class Detector(Protocol):
    """A trained network as a demo uses it."""

    def detect(self, image: np.ndarray) -> Detections:
        """What is in a BGR image (h, w, 3) uint8, in its own pixels."""
        ...


class DetectionDemo(Demo):
    """Objects in images, those with a score of at least --thresh.

    A method's `load` sets `detector` and calls `name_classes`. thresh: the least score shown without --thresh.
    """

    thresh = 0.5
    binary_thresh = 0.5
    """Probability from which a pixel belongs to a mask, where the method has masks."""
    detector: Detector
    found: Detections
    """What was shown of the last image."""

    def add_options(self, options: argparse.ArgumentParser) -> None:
        """Options of detection."""
        usual = f"MODEL-scores.json, else {self.thresh:g}"
        help_text = f"least score to show, or a test's scores.json with one per class (default: {usual})"
        options.add_argument("--thresh", default="", metavar="NUMBER|FILE", help=help_text)

    def name_classes(self, names: Dict[int, str], polygons: bool = False) -> None:
        """Take the class names, category id -> name. polygons: outlines instead of RLE in the json file."""
        self.classes = [BACKGROUND, *names.values()]
        self.args.thresh = self.args.thresh or self.model.scores or f"{self.thresh:g}"
        self.least = self._least(self.args.thresh)
        self.file = CocoFile(names, polygons, self.binary_thresh)

    def _least(self, words: str) -> Union[float, np.ndarray]:
        """What --thresh says: a number, or one per label."""
        try:
            return float(words)
        except ValueError:
            of_classes = read_thresholds(words, self.classes[1:], self.thresh)
            return np.concatenate([[self.thresh], of_classes])

    def results(self, image: np.ndarray, path: Path) -> Tuple[str, List[Picture]]:
        """Detections above the threshold, best first."""
        every, name = self.detector.detect(image), self.name(path)
        found = every.above(self.least).best_first()
        self.found, words = found, found_or_best(every, self.least, self.classes)
        if self.args.json:  # or a camera would fill the memory
            self.file.add(name, (image.shape[0], image.shape[1]), found)
        drawn = draw_detections(image, found, self.classes, binary_thresh=self.binary_thresh)
        return words, [Picture(name, drawn, words)]

    def write(self) -> Iterator[str]:
        """The COCO file."""
        if self.args.json:
            Path(self.args.json).absolute().parent.mkdir(parents=True, exist_ok=True)
            self.file.write(self.args.json)
            yield f"{len(self.file.annotations)} detections in {self.args.json}"

    @property
    def note(self) -> str:
        """What is shown."""
        return f"scores of at least {self.args.thresh}"
