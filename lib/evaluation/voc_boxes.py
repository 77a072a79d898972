"""Average precision of boxes as PASCAL VOC measures it, by its two rules (`voc_ap`).

Every object counts: VOC's marks of difficult ones are not read.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Callable, Sequence

import numpy as np

from fullconv.lib.bbox.overlaps import bbox_overlaps
from fullconv.lib.evaluation.sanity import check_results, explain_low_ap
from fullconv.lib.evaluation.voc_ap import area_ap, eleven_point_ap, first_hits, precision_recall
from fullconv.lib.structures.detections import Detections
from fullconv.lib.structures.entry import Entry

logger = logging.getLogger(__name__)

RULES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"": area_ap, " (11 points)": eleven_point_ap}
"""What stands behind the name of a score -> its rule: that of VOC 2010 to 2012, that of 2007 to 2009."""

STRICTER = tuple(50 / 100 + 5 * step / 100 for step in range(10))
"""COCO's thresholds, 0.5 to 0.95: how well boxes fit, which 0.5 alone does not tell."""
RANGE = "mAP@0.5:0.95"


@dataclass(frozen=True)
class VocBoxEvaluator:
    """AP of boxes on a data set's images; a box is right from IoU `threshold` on."""

    entries: Sequence[Entry]
    classes: Sequence[str]
    threshold: float = 0.5

    def evaluate(self, detections: Sequence[Detections], folder: str) -> dict[str, float]:
        """Score the detections of every image; nothing is written to `folder`.

        Returns:
            `mAP@<t>`, mean over the classes that occur, and `AP@<t>/<class>` of each class, 0 for one that does not
            occur; both also with ` (11 points)` behind; `mAP@0.5:0.95`: the mean of ten mAP of the area rule, with
            VOC's matching; `classes with objects`: how many occur.

        Raises:
            EvaluationError: results that cannot belong to this data set, see `check_results`.
        """
        sizes, ids = [entry.size for entry in self.entries], [entry.image_id for entry in self.entries]
        warnings = check_results(self.classes, len(self.entries), detections, sizes, ids, masks=False)
        counts = {c: sum(int((e.classes == c).sum()) for e in self.entries) for c in range(1, len(self.classes))}
        matches = {c: self._matches(c, detections) for c in counts}
        curves = {c: _curve(*matches[c], count, self.threshold) for c, count in counts.items()}
        result = {"classes with objects": float(sum(map(bool, counts.values())))}
        for ending, rule in RULES.items():
            found = {c: rule(recall, precision) if counts[c] else 0.0 for c, (precision, recall) in curves.items()}
            occurring = [ap for c, ap in found.items() if counts[c]]
            result[f"mAP@{self.threshold:g}{ending}"] = float(np.mean(occurring)) if occurring else 0.0
            result.update({f"AP@{self.threshold:g}/{self.classes[c]}{ending}": ap for c, ap in found.items()})
        present = [c for c in counts if counts[c]]
        strict = [area_ap(*_curve(*matches[c], counts[c], t)[::-1]) for c in present for t in STRICTER]
        result[RANGE] = float(np.mean(strict)) if strict else 0.0
        if not result[f"mAP@{self.threshold:g}"] and not warnings:
            warnings = self._explain(detections)
        for warning in warnings:
            logger.warning(warning)
        return result

    def _matches(self, label: int, detections: Sequence[Detections]) -> tuple[np.ndarray, np.ndarray]:
        """Of one class's detections, best first and equal scores in the order of images: largest IoU with an object
        of the image (D,) and the number of that object (D,).
        """
        best_iou, best_gt, scores, offset = [np.zeros(0)], [np.zeros(0, int)], [np.zeros(0)], 0
        for entry, found in zip(self.entries, detections):
            truth, mine = entry.boxes[entry.classes == label], found.of_class(label)
            scores.append(mine.scores)
            if len(truth):
                overlaps = bbox_overlaps(mine.boxes, truth)
                best_iou.append(overlaps.max(axis=1))
                best_gt.append(offset + overlaps.argmax(axis=1))
            else:
                # Below any threshold: nothing is there to be found.
                best_iou.append(np.full(len(mine), -1.0))
                best_gt.append(np.full(len(mine), -1))
            # Objects are numbered over all images, as an object can be found once.
            offset += len(truth)
        order = np.argsort(-np.concatenate(scores), kind="stable")
        return np.concatenate(best_iou)[order], np.concatenate(best_gt)[order]

    def _explain(self, detections: Sequence[Detections]) -> list[str]:
        boxes, classes = [entry.boxes for entry in self.entries], [entry.classes for entry in self.entries]
        return explain_low_ap(self.classes, detections, boxes, classes)

    def table(self, scores: dict[str, float]) -> str:
        """AP per class and their mean by both rules, in percent."""
        width = max(len(name) for name in [*self.classes, "mAP"])
        mark = f"@{self.threshold:g}"
        lines = [f"{'':<{width}}{'AP' + mark:>10}{'11 points':>11}"]
        rows = {name: f"AP{mark}/{name}" for name in self.classes[1:]}
        for name, key in {**rows, "mAP": f"mAP{mark}"}.items():
            area, points = (100 * scores[f"{key}{ending}"] for ending in RULES)
            lines.append(f"{name:<{width}}{area:10.2f}{points:11.2f}")
        present, known = int(scores["classes with objects"]), len(self.classes) - 1
        if present < known:
            lines.append(f"({present} of {known} classes have objects; mAP is the mean over those)")
        lines.append(f"{RANGE} {100 * scores[RANGE]:.2f}")
        return "\n".join(lines)


def _curve(best_iou: np.ndarray, best_gt: np.ndarray, count: int, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Precision (D,) and recall (D,) of what `_matches` found of `count` objects, at one threshold."""
    return precision_recall(first_hits(best_iou, best_gt, threshold), count)
