"""How many objects region proposals reach ("What makes for effective detection proposals?", Hosang et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, List, Sequence

import numpy as np

from fullconv.lib.bbox.overlaps import bbox_overlaps

IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())
"""COCO's ten."""


@dataclass(frozen=True)
class Recall:
    """recall[i, k]: share of all objects that one of the first counts[i] proposals of their image covers with an IoU of
    at least thresholds[k]; nan where there is no object."""

    counts: Sequence[int]
    thresholds: Sequence[float]
    recall: np.ndarray
    objects: int

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
        return "\n".join([head, *lines, f"(share of {self.objects} objects, by the IoU of boxes)"])


def proposal_recall(
    truth: Iterable[np.ndarray],
    proposals: Iterable[np.ndarray],
    counts: Sequence[int] = (100, 300),
    thresholds: Sequence[float] = IOU_THRESHOLDS,
) -> Recall:
    """Recall of proposals, best first.

    Each object is looked at by itself: two may be covered by the same proposal, as a proposal is no decision yet.

    Args:
        truth: per image, boxes (n, 4) x1, y1, x2, y2 with inclusive ends, in pixels of the original image.
        proposals: per image, boxes (m, 4) likewise, in descending order of score.
        counts: how many proposals of an image are looked at; where there are fewer, all.
    """
    best: List[np.ndarray] = []
    for boxes, found in zip(truth, proposals):
        overlaps = bbox_overlaps(found, boxes) if len(boxes) else np.zeros((len(found), 0))
        rows = [overlaps[:count].max(axis=0, initial=0.0) for count in counts]
        best.append(np.stack(rows))
    iou = np.concatenate(best, axis=1) if best else np.zeros((len(counts), 0))
    if iou.shape[1] == 0:
        return Recall(counts, thresholds, np.full((len(counts), len(thresholds)), np.nan), 0)
    # A box of the truth is its own proposal in some sets: 0.95 from arithmetic must not fall short of 0.95.
    reached = iou[:, None, :] >= np.asarray(thresholds)[None, :, None] - 1e-9
    return Recall(counts, thresholds, reached.mean(axis=2), iou.shape[1])
