"""From what the head says at every location to detections (the original's order of steps, and its ties)."""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from fullconv.fcos.levels import STRIDES
from fullconv.lib.nms.ml_nms import ml_nms
from fullconv.lib.structures.detections import Detections
from fullconv.lib.utils.sigmoid import sigmoid


class ResultSpec(NamedTuple):
    """From locations to detections.

    threshold: a class counts above this probability, its own alone. per_level: best pairs of location and class kept
    per level. nms: largest IoU of two boxes of one class; 0 or less suppresses nothing. best: detections per image, 0
    or less keeps all. min_size: least side of a box in pixels of the input. strides: of the levels.
    """

    threshold: float = 0.05
    per_level: int = 1000
    nms: float = 0.6
    best: int = 100
    min_size: float = 0.0
    strides: Tuple[int, ...] = STRIDES


class Level(NamedTuple):
    """The head's outputs about one image at one level, float32."""

    logits: np.ndarray  # (C, h, w)
    boxes: np.ndarray  # (4, h, w), distances in pixels
    centerness: np.ndarray  # (1, h, w)


def levels_of(outputs: Dict[str, np.ndarray], names: Sequence[str], image: int = 0) -> List[Level]:
    """The test symbol's outputs about one image of the batch."""
    return [Level(*(outputs[f"{kind}_{name}"][image] for kind in Level._fields)) for name in names]


def candidates(levels: Sequence[Level], size: Tuple[int, int], spec: ResultSpec) -> Detections:
    """Boxes before suppression, level by level, in the frame of the resized image of `size` (h, w).

    A box collapsed at the border of the image stays, and a location may give one for each of several classes. Scores
    are the root of class probability times centerness, so they may lie below the threshold.
    """
    parts = [_of_level(level, stride, size, spec) for level, stride in zip(levels, spec.strides)]
    return Detections.concatenate(parts)


def select(found: Detections, spec: ResultSpec) -> Detections:
    """Suppression within each class, then the best of the image; the order stays.

    Scores equal to that of the last place are all kept, so there may be more than `best` (original).
    """
    if spec.nms > 0:
        found = found.select(ml_nms(found.boxes, found.scores, found.labels, spec.nms))
    if 0 < spec.best < len(found):
        found = found.select(found.scores >= np.sort(found.scores)[-spec.best])
    return found


def _of_level(level: Level, stride: int, size: Tuple[int, int], spec: ResultSpec) -> Detections:
    classes, places = _above(level.logits, spec.threshold)
    scores = sigmoid(level.logits.reshape(len(level.logits), -1)[classes, places])
    scores *= sigmoid(level.centerness.reshape(-1)[places])
    if len(scores) > spec.per_level:
        # Of equal scores the first; the original leaves that open. The order of candidates stays.
        best = np.sort(np.argsort(-scores, kind="stable")[: spec.per_level])
        classes, places, scores = classes[best], places[best], scores[best]
    boxes = _boxes(level.boxes, places, stride, size)
    keep = (boxes[:, 2:] - boxes[:, :2] + 1 >= spec.min_size).all(axis=1)
    return Detections(boxes[keep], np.sqrt(scores[keep]), classes[keep] + 1)


def _above(logits: np.ndarray, threshold: float) -> Tuple[np.ndarray, np.ndarray]:
    """(class, place) of every probability above the threshold, in the order of places, then of classes."""
    flat = logits.reshape(len(logits), -1)
    rough = -np.inf if threshold <= 0 else np.log(threshold / (1 - threshold)) - 1e-3 if threshold < 1 else np.inf
    # Few pass, so only they get a sigmoid; which of them pass is then decided by the sigmoid itself.
    classes, places = np.nonzero(flat > np.float32(rough))
    passed = sigmoid(flat[classes, places]) > np.float32(threshold)
    order = np.argsort(places[passed] * len(flat) + classes[passed], kind="stable")
    return classes[passed][order], places[passed][order]


def _boxes(distances: np.ndarray, places: np.ndarray, stride: int, size: Tuple[int, int]) -> np.ndarray:
    """(m, 4) boxes around the centres of places, clipped to the image."""
    height, width = size
    rows, columns = np.divmod(places, distances.shape[2])
    x, y = ((at * stride + stride // 2).astype(np.float32) for at in (columns, rows))
    left, top, right, bottom = distances.reshape(4, -1)[:, places]
    clip: Callable[[np.ndarray, int], np.ndarray] = lambda values, side: np.clip(values, 0, side - 1)  # noqa: E731
    horizontal = clip(x - left, width), clip(x + right, width)
    vertical = clip(y - top, height), clip(y + bottom, height)
    return np.stack([horizontal[0], vertical[0], horizontal[1], vertical[1]], axis=1).astype(np.float32)
