"""Average precision of PASCAL VOC: the 11-point rule of 2007-2009 and the area rule of 2010-2012."""

from __future__ import annotations

import numpy as np

# Not linspace: arange gives 0.30000000000000004, which a recall of 3/10 misses, in all published numbers.
ELEVEN_POINTS = np.arange(0.0, 1.1, 0.1)


def precision_recall(true_positive: np.ndarray, num_gt: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall after each detection.

    Args:
        true_positive: (D,) bool, in descending score order; everything else is a false positive.
        num_gt: number of ground-truth objects of the class.

    Returns:
        precision (D,), recall (D,) float64; recall is NaN where num_gt is 0, as in the original.
    """
    tp = np.cumsum(np.asarray(true_positive, dtype=np.float64))
    precision = tp / np.arange(1, len(tp) + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = tp / np.float64(num_gt)
    return precision, recall


def first_hits(best_iou: np.ndarray, best_gt: np.ndarray, threshold: float) -> np.ndarray:
    """Which detections of a class are true positives, (D,) bool.

    The first to reach an object takes it; a later one is false even if another object would do (VOC development kit).

    Args:
        best_iou: (D,) largest overlap with an object of the image, in descending score order.
        best_gt: (D,) number of that object, unique over all images.
        threshold: least overlap that counts.
    """
    hit = np.flatnonzero(best_iou >= threshold)
    # The index of first occurrence, and best scores come first: the detection that takes the object.
    _, first = np.unique(best_gt[hit], return_index=True)
    true_positive = np.zeros(len(best_iou), dtype=bool)
    true_positive[hit[first]] = True
    return true_positive


def eleven_point_ap(recall: np.ndarray, precision: np.ndarray) -> float:
    """Mean over recall 0, 0.1, ..., 1 of the best precision at or beyond it (VOC 2007 development kit).

    `recall` and `precision` are (D,) float64; NaN recall (no ground truth) gives 0.
    """
    ap = 0.0
    for point in ELEVEN_POINTS:
        reached = precision[recall >= point]
        # Divided one by one, as the development kit does it: the last digits depend on it.
        ap += (reached.max() if reached.size else 0.0) / 11.0
    return float(ap)


def area_ap(recall: np.ndarray, precision: np.ndarray) -> float:
    """Area under the monotone precision-recall curve (VOC 2010 kit); arguments as `eleven_point_ap`."""
    # Ends at recall 0 and 1 without precision, so that what is never reached adds nothing.
    recall = np.concatenate(([0.0], recall, [1.0]))
    precision = np.concatenate(([0.0], precision, [0.0]))
    # From the right: the best precision at this recall or beyond it.
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    step = np.flatnonzero(recall[1:] != recall[:-1])
    return float(np.sum((recall[step + 1] - recall[step]) * envelope[step + 1]))


def voc_ap(recall: np.ndarray, precision: np.ndarray, use_07_metric: bool = True) -> float:
    """AP of one class from its precision-recall curve; SDS uses the 11-point rule whatever the year."""
    recall = np.asarray(recall, dtype=np.float64)
    precision = np.asarray(precision, dtype=np.float64)
    if recall.shape != precision.shape or recall.ndim != 1:
        raise ValueError(f"recall {recall.shape} and precision {precision.shape} must be equally long vectors")
    return eleven_point_ap(recall, precision) if use_07_metric else area_ap(recall, precision)
