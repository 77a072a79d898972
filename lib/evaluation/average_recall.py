"""How many objects proposals reach ("What makes for effective detection proposals?", Hosang et al. 2016).

Three definitions of "reached" are in use, which in crowded images differ by a point or two:

| name    | an object is reached by                                                                                |
|---------|--------------------------------------------------------------------------------------------------------|
| "coco"  | the proposal it is given: best first, each takes the best object left with an IoU above the threshold  |
| "best"  | any proposal; two objects may share one, as a proposal is no decision yet                              |
| "cover" | the proposal it is given, the pair of the highest IoU first (py-faster-rcnn's `evaluate_recall`)       |

Average recall is the mean over COCO's ten thresholds. "coco" equals pycocotools with useCats=0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Sequence, Tuple

import numpy as np
from pycocotools import mask as rle_api

from fullconv.lib.bbox.overlaps import bbox_overlaps

IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""COCO's ten, to pycocotools' last bit."""

CURVE_THRESHOLDS = tuple(np.linspace(0.5, 1, 51).round(2).tolist())
"""Where a curve of recall over IoU is looked at."""


@dataclass(frozen=True)
class Recall:
    """recall[i, k]: share of all objects that the first counts[i] proposals of their image reach with an IoU of at
    least thresholds[k]; nan where there is no object."""

    counts: Sequence[int]
    thresholds: Sequence[float]
    recall: np.ndarray
    objects: int
    of: str = "boxes"

    @property
    def average(self) -> List[float]:
        """The mean over the thresholds, for each count: average recall."""
        return self.recall.mean(axis=1).tolist()

    def as_dict(self) -> dict[str, float]:
        """Flat numbers: `recall@0.5 of 100`, ..., and `AR of 100`."""
        pairs = {
            f"recall@{threshold:g} of {count}": float(self.recall[i, k])
            for i, count in enumerate(self.counts)
            for k, threshold in enumerate(self.thresholds)
        }
        return {**pairs, **{f"AR of {count}": value for count, value in zip(self.counts, self.average)}}

    def table(self) -> str:
        """In percent, a line per count."""
        head = f"{'proposals':>9}" + "".join(f"{t:>8g}" for t in self.thresholds) + f"{'mean':>8}"
        lines = [
            f"{count:>9}" + "".join(f"{100 * value:8.2f}" for value in [*row, mean])
            for count, row, mean in zip(self.counts, self.recall, self.average)
        ]
        return "\n".join([head, *lines, f"(share of {self.objects} objects, by the IoU of {self.of})"])


def recall(
    overlaps: Iterable[np.ndarray],
    counts: Sequence[int] = (10, 100, 1000),
    thresholds: Sequence[float] = IOU_THRESHOLDS,
    definition: str = "coco",
    of: str = "masks",
) -> Recall:
    """Recall over all images together.

    Args:
        overlaps: per image, IoU (m, n) of its proposals, best first, with its objects. Groups (COCO's crowd) are no
            objects: leave them out.
        counts: how many proposals of an image are looked at; where there are fewer, all.
        thresholds: ascending.
        definition: "coco", "best" or "cover".
        of: what overlaps, for the table.

    Raises:
        ValueError: another definition.
    """
    if definition not in DEFINITIONS:
        raise ValueError(f"recall is defined by {', '.join(DEFINITIONS)}, not by {definition!r}")
    reached = [DEFINITIONS[definition](iou, counts, np.asarray(thresholds)) for iou in overlaps]
    found = np.concatenate([np.zeros((len(counts), len(thresholds), 0), bool), *reached], axis=2)
    if found.shape[2] == 0:
        return Recall(counts, thresholds, np.full(found.shape[:2], np.nan), 0, of)
    return Recall(counts, thresholds, found.mean(axis=2), found.shape[2], of)


def continuous_recall(overlaps: Iterable[np.ndarray], counts: Sequence[int] = (10, 100, 1000)) -> List[float]:
    """Per count, twice the area under the "best" curve from an IoU of 0.5 to 1: 2 mean(max(IoU - 0.5, 0)).

    The integral that ten thresholds approximate from above. nan without objects.
    """
    best = [np.stack([iou[:count].max(axis=0, initial=0.0) for count in counts]) for iou in overlaps]
    found = np.concatenate([np.zeros((len(counts), 0)), *best], axis=1)
    if found.shape[1] == 0:
        return [float("nan")] * len(counts)
    return (2 * np.maximum(found - 0.5, 0).mean(axis=1)).tolist()


def _reached_in_turn(iou: np.ndarray, counts: Sequence[int], thresholds: np.ndarray) -> np.ndarray:
    """(counts, thresholds, objects) bool. What a proposal takes does not depend on those after it."""
    least = np.minimum(thresholds, 1 - 1e-10)[:, None]  # pycocotools' own, else nothing would reach an IoU of 1
    # At which place the proposal stands that took the object.
    taken = np.full((len(thresholds), iou.shape[1]), np.iinfo(np.int64).max)
    rows = np.arange(len(thresholds))
    for place in np.flatnonzero(iou[: max(counts)].max(axis=1, initial=0.0) >= least.min()):
        fits = np.where((taken > place) & (iou[place] >= least), iou[place], -1.0)
        # Of equal ones pycocotools takes the last.
        best = iou.shape[1] - 1 - fits[:, ::-1].argmax(axis=1)
        takes = fits[rows, best] >= 0
        taken[rows[takes], best[takes]] = place
    return taken[None] < np.asarray(counts)[:, None, None]


def _reached_by_best(iou: np.ndarray, counts: Sequence[int], thresholds: np.ndarray) -> np.ndarray:
    best = np.stack([iou[:count].max(axis=0, initial=0.0) for count in counts])
    return _at_least(best, thresholds)


def _reached_by_cover(iou: np.ndarray, counts: Sequence[int], thresholds: np.ndarray) -> np.ndarray:
    return _at_least(np.stack([_cover(iou[:count]) for count in counts]), thresholds)


def _cover(iou: np.ndarray) -> np.ndarray:
    """IoU that each object is covered with when pairs are made greedily, the best one first."""
    left, covered = iou.copy(), np.zeros(iou.shape[1])
    for _ in range(min(iou.shape)):
        proposal, thing = np.unravel_index(left.argmax(), left.shape)
        covered[thing] = left[proposal, thing]
        left[proposal], left[:, thing] = -1, -1
    return covered


def _at_least(iou: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """(counts, thresholds, objects) bool of (counts, objects)."""
    # A box of the truth is its own proposal in some sets: 0.95 from arithmetic must not fall short of 0.95.
    return iou[:, None, :] >= thresholds[None, :, None] - 1e-9


DEFINITIONS: Dict[str, Callable[[np.ndarray, Sequence[int], np.ndarray], np.ndarray]] = {
    "coco": _reached_in_turn,
    "best": _reached_by_best,
    "cover": _reached_by_cover,
}
"""Name -> (counts, thresholds, objects) bool from IoU (m, n), counts and thresholds."""


def box_overlaps(proposals: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """IoU (m, n) of boxes (m, 4) and (n, 4), inclusive ends."""
    return bbox_overlaps(proposals, truth) if len(truth) else np.zeros((len(proposals), 0))


def mask_overlaps(proposals: Sequence[Dict[str, Any]], truth: Sequence[Dict[str, Any]]) -> np.ndarray:
    """IoU (m, n) of masks given as run-length codes of one size, which are not checked here."""
    if not len(proposals) or not len(truth):
        return np.zeros((len(proposals), len(truth)))
    return np.asarray(rle_api.iou(list(proposals), list(truth), [0] * len(truth)))


def best_first(scores: np.ndarray, most: int = 0) -> np.ndarray:
    """The order of falling scores, equal ones as they come, at most so many of them (0: all)."""
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    return order[:most] if most else order


def proposal_recall(
    truth: Iterable[np.ndarray],
    proposals: Iterable[np.ndarray],
    counts: Sequence[int] = (100, 300),
    thresholds: Sequence[float] = IOU_THRESHOLDS,
    definition: str = "best",
) -> Recall:
    """Recall of boxes: per image those of the objects (n, 4), and of the proposals (m, 4), best first.

    x1, y1, x2, y2 with inclusive ends, in pixels of the original image.
    """
    pairs: Iterable[Tuple[np.ndarray, np.ndarray]] = zip(proposals, truth)
    return recall((box_overlaps(*pair) for pair in pairs), counts, thresholds, definition, "boxes")
