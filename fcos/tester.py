"""From a trained network and an image to boxes and classes."""

from __future__ import annotations

from typing import Any, Callable, List, NamedTuple, Sequence, Tuple

import numpy as np

from fullconv.fcos.levels import level_name
from fullconv.fcos.postprocess import ResultSpec, candidates, levels_of, select
from fullconv.fcos.preprocess import InputSpec, Size, mirrored_boxes, prepare, resized_boxes, resized_size
from fullconv.lib.engines.network import Network
from fullconv.lib.structures.detections import Detections


class View(NamedTuple):
    """One input (3, H, W) made of an image: resized to `size`, perhaps mirrored."""

    data: np.ndarray
    size: Size
    flipped: bool


class Sample(NamedTuple):
    """The views of an image, the plain one first, and its own (height, width)."""

    views: Tuple[View, ...]
    size: Size


class ViewSpec(NamedTuple):
    """Views besides the plain one: (short side, longest long side, mirrored); TEST.BBOX_AUG."""

    more: Tuple[Tuple[int, int, bool], ...] = ()


PLAIN = ViewSpec()


def views(image: np.ndarray, images: InputSpec, more: ViewSpec = PLAIN) -> Sample:
    """The views of a BGR image (h, w, 3) uint8."""
    size = image.shape[0], image.shape[1]
    wanted = [(images.min_sizes[0], images.max_size, False), *more.more]
    made = []
    for min_size, max_size, flipped in wanted:
        resized = resized_size(size, min_size, max_size)
        made.append(View(prepare(image, images, resized, flipped), resized, flipped))
    return Sample(tuple(made), size)


class Detector:
    """A trained FCOS on one device (a `lib.core.inference.Device`).

    network: from `data` (N, 3, H, W) to the outputs of `fcos.symbols.fcos.test_symbol`, whatever computes it
    (`fcos.model`).
    """

    def __init__(self, network: Network, images: InputSpec, results: ResultSpec, more: ViewSpec = PLAIN) -> None:
        self.network, self.images, self.results, self.more = network, images, results, more
        self.levels = [level_name(stride) for stride in results.strides]

    def detect(self, image: np.ndarray) -> Detections:
        """What is in one BGR image (h, w, 3) uint8."""
        sample = views(image, self.images, self.more)
        return self.finish(sample, self.start(sample))

    def start(self, sample: Sample) -> List[Any]:
        """Queue the network."""
        return [self.network.start({"data": view.data[None]}) for view in sample.views]

    def finish(
        self, sample: Sample, started: Sequence[Any], on_outputs: Callable[[], None] = lambda: None
    ) -> Detections:
        """Wait for it, and make detections in the frame of the image."""
        outputs = [self.network.finish(arrays) for arrays in started]
        on_outputs()
        levels = [levels_of(arrays, self.levels) for arrays in outputs]
        found = [candidates(maps, view.size, self.results) for maps, view in zip(levels, sample.views)]
        best = merge(sample, found, self.results)
        boxes = resized_boxes(best.boxes, sample.views[0].size, sample.size)
        return Detections(boxes, best.scores, best.labels)


def merge(sample: Sample, found: Sequence[Detections], results: ResultSpec) -> Detections:
    """One image's detections, in the frame of its plain view, from the candidates that each view gave."""
    parts = []
    for view, part in zip(sample.views, found):
        boxes = mirrored_boxes(part.boxes, view.size[1]) if view.flipped else part.boxes
        parts.append(Detections(resized_boxes(boxes, view.size, sample.views[0].size), part.scores, part.labels))
    return select(Detections.concatenate(parts), results)
