"""Least scores, one per class, at which a trained detector is best: where precision and recall agree most (F1).

FCOS's original prints them after every evaluation, and its demo shows what is above them.
"""

from __future__ import annotations

import json
import math
from typing import Any, Mapping, Optional, Sequence

import numpy as np

THRESHOLD = "threshold/"
"""What the name of a class's threshold begins with among the scores; boxes' have a prefix of their own before it."""

MATCHING_IOU = 0.5
"""IoU from which a detection is right."""


class ThresholdError(ValueError):
    """A file that holds no thresholds; the text says which command writes them."""


def best_threshold(precision: np.ndarray, scores: np.ndarray) -> Optional[float]:
    """The score at which F1 = 2pr / (p + r) is largest, the highest of equals; None where nothing was found.

    precision, scores (R,): at R recalls evenly from 0 to 1, both -1 where there is no object (pycocotools'
    `precision` and `scores`).
    """
    recall = np.linspace(0, 1, len(precision))
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-6)
    best = int(f1.argmax())
    return float(scores[best]) if f1[best] > 0 else None


def coco_thresholds(evaluation: Any, names: Mapping[int, str]) -> dict[str, float]:
    """`threshold/<class>` of every class of which anything was found, from a pycocotools' COCOeval that accumulated.

    names: category id -> class.
    """
    at = int(np.flatnonzero(np.isclose(evaluation.params.iouThrs, MATCHING_IOU))[0])
    # IoU threshold x recall x category x area x detections per image: all areas, and the most detections.
    arrays = (evaluation.eval[key][at, :, :, 0, -1] for key in ("precision", "scores"))
    found = {}
    for category_id, precision, scores in zip(evaluation.params.catIds, *(array.T for array in arrays)):
        threshold = best_threshold(precision, scores)
        if threshold is not None:
            found[f"{THRESHOLD}{names[int(category_id)]}"] = threshold
    return found


def threshold_lines(scores: Mapping[str, float], classes: Sequence[str], prefix: str = "") -> list[str]:
    """The thresholds among scores, as lines for people; classes of which nothing was found have none."""
    found = {name: scores.get(f"{prefix}{THRESHOLD}{name}") for name in classes}
    if not any(threshold is not None for threshold in found.values()):
        return []
    width = max(map(len, classes))
    head = f"least score with the best F1 at IoU {MATCHING_IOU:g} ({prefix.strip() or 'mask'}):"
    return [head, *(f"{name:<{width}}{'n/a' if t is None else f'{t:.4f}':>9}" for name, t in found.items())]


def read_thresholds(path: str, classes: Sequence[str], default: float) -> np.ndarray:
    """(len(classes),) thresholds of the classes from a test's `scores.json`: masks' where it has them, else boxes'.

    classes: names without the background. default: for a class that has none there.
    Raises ThresholdError: no such file, or it holds none of these classes'.
    """
    try:
        with open(path, encoding="utf-8") as file:
            scores = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise ThresholdError(f"{path}: cannot be read as the scores.json of a test: {error}") from None
    scores = scores if isinstance(scores, dict) else {}
    found = [_of_class(scores, name) for name in classes]
    if not any(threshold is not None for threshold in found):
        raise ThresholdError(
            f"{path}: has no threshold/<class> of {', '.join(classes[:3])}, ...: name the scores.json that testing "
            "this model on a COCO data set wrote"
        )
    return np.array([default if threshold is None else threshold for threshold in found])


def _of_class(scores: Mapping[str, Any], name: str) -> Optional[float]:
    for key in (f"{THRESHOLD}{name}", f"box {THRESHOLD}{name}"):
        value = scores.get(key)
        if isinstance(value, (int, float)) and math.isfinite(value):
            return float(value)
    return None
