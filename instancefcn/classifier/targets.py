"""Which proposals are trained on, and what they are (CFM's rules, by which MNC samples too)."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from fullconv.lib.bbox.transform import encode_boxes
from fullconv.lib.evaluation.average_recall import box_overlaps, mask_overlaps

Code = Dict[str, Any]
"""A mask as COCO's run-length code."""


class SamplingSpec(NamedTuple):
    """rois: of an image. shares: of them with a box IoU of 0.5 and more, of 0.1 to 0.5, and below. stds: what box
    corrections are divided by. mask_thresh: share from which a cell of the mask that is laid over features is on."""

    rois: int = 64
    shares: Tuple[float, float, float] = (0.3, 0.5, 0.2)
    stds: Tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    mask_thresh: float = 0.4


BOUNDS = ((0.5, 1.01), (0.1, 0.5), (0.0, 0.1))
"""Box IoU of the three kinds, the lower end included."""

LEAST_IOU = 0.5
"""Of box and mask, from which a proposal is of its object's class."""


class Matched(NamedTuple):
    """Of m proposals: box IoU with the nearest object, class by box and class by mask, 0 for background, and the box
    corrections (m, 4) to that object."""

    overlaps: np.ndarray
    labels: np.ndarray
    seg_labels: np.ndarray
    corrections: np.ndarray


def match(
    boxes: np.ndarray, codes: Sequence[Code], gt_boxes: np.ndarray, gt_codes: Sequence[Code], classes: np.ndarray
) -> Matched:
    """What each proposal is. boxes (m, 4), gt_boxes (n, 4): ends inclusive. classes (n,) from 1."""
    count = len(boxes)
    if not len(gt_boxes):
        nothing = np.zeros(count, np.int64)
        return Matched(np.zeros(count), nothing, nothing, np.zeros((count, 4)))
    overlaps = box_overlaps(boxes, gt_boxes)
    nearest = overlaps.argmax(axis=1)
    rows = np.arange(count)
    best = overlaps[rows, nearest]
    labels = np.where(best >= LEAST_IOU, classes[nearest], 0)
    same = mask_overlaps(codes, gt_codes)[rows, nearest] >= LEAST_IOU
    return Matched(best, labels, np.where(same, labels, 0), encode_boxes(boxes, gt_boxes[nearest]))


def choose(overlaps: np.ndarray, spec: SamplingSpec, rng: np.random.RandomState) -> np.ndarray:
    """Indices of at most `spec.rois` proposals: the shares of the three kinds, filled up with any where one has too
    few."""
    chosen: List[int] = []
    for share, (low, high) in zip(spec.shares, BOUNDS):
        kind = np.flatnonzero((overlaps >= low) & (overlaps < high))
        most = min(len(kind), int(round(share * spec.rois)))
        chosen += rng.choice(kind, most, replace=False).tolist()
    left = np.setdiff1d(np.arange(len(overlaps)), chosen)
    more = min(len(left), spec.rois - len(chosen))
    return np.array(chosen + rng.choice(left, more, replace=False).tolist(), np.int64)[: spec.rois]


def box_targets(labels: np.ndarray, corrections: np.ndarray, classes: int, stds: Sequence[float]) -> np.ndarray:
    """(2, m, 4 C): targets and weights; those of a proposal's own class count, of background none."""
    out = np.zeros((2, len(labels), 4 * classes), np.float32)
    for row in np.flatnonzero(labels > 0):
        place = slice(4 * labels[row], 4 * labels[row] + 4)
        out[0, row, place], out[1, row, place] = corrections[row] / np.array(stds), 1
    return out


def crop_mask(crop: np.ndarray, side: int) -> np.ndarray:
    """A mask inside its box (h, w) bool as (side, side) float32: which share of each cell is the object's."""
    pixels = crop.astype(np.float32)
    # Means of whole pixels first, or of a thin mask little would be left.
    large = cv2.resize(pixels, (max(side, crop.shape[1]), max(side, crop.shape[0])), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA)
