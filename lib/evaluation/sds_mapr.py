"""mAP^r, the mask AP of "Simultaneous Detection and Segmentation" (ECCV 2014), as FCIS reports it on VOC.

Letters: D detections of one class over all images, n ground-truth objects, M mask resolution.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Iterable, Sequence

import cv2
import numpy as np

from fullconv.lib.evaluation.class_files import write_class_files
from fullconv.lib.evaluation.sanity import EvaluationError, check_results, explain_low_ap
from fullconv.lib.evaluation.voc_ap import eleven_point_ap, first_hits, precision_recall
from fullconv.lib.structures.detections import Detections
from fullconv.lib.structures.entry import Entry

logger = logging.getLogger(__name__)

MAX_SIDE = 32767  # no image has a longer box, and resizing a mask to one would fill the memory


@dataclass(frozen=True)
class Segment:
    """A mask cropped to its box; `box` is x1, y1, x2, y2 with inclusive integer ends."""

    box: tuple[int, int, int, int]
    mask: np.ndarray
    area: int


@dataclass(frozen=True)
class ClassResult:
    """AP of one class at one threshold with its curve, (D,) float64 each, in descending score order."""

    ap: float
    recall: np.ndarray
    precision: np.ndarray
    num_gt: int


def crop_segment(mask: np.ndarray) -> Segment | None:
    """The tight crop of a (h, w) bool mask; None for an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    x1, y1, x2, y2 = int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])
    crop = np.ascontiguousarray(mask[y1 : y2 + 1, x1 : x2 + 1], dtype=bool)
    return Segment((x1, y1, x2, y2), crop, int(np.count_nonzero(crop)))


def render_segment(box: np.ndarray, mask: np.ndarray, binary_thresh: float) -> Segment | None:
    """A predicted (M, M) mask stretched over its rounded box and cut; None for an inverted box.

    Rounding is numpy's (half to even) and the resizing OpenCV's bilinear one: both move published numbers.
    """
    x1, y1, x2, y2 = (int(v) for v in np.round(box[:4]))
    width, height = x2 - x1 + 1, y2 - y1 + 1
    if width < 1 or height < 1:
        return None
    if max(width, height) > MAX_SIDE:
        raise EvaluationError(f"box {box[:4].tolist()} is {width} x {height}: these are not image pixels")
    cut = cv2.resize(mask, (width, height)) >= binary_thresh
    return Segment((x1, y1, x2, y2), cut, int(np.count_nonzero(cut)))


def segment_iou(a: Segment, b: Segment) -> float:
    """Intersection over union of two masks that live in one image; 0 where both are empty."""
    x1, y1 = max(a.box[0], b.box[0]), max(a.box[1], b.box[1])
    x2, y2 = min(a.box[2], b.box[2]) + 1, min(a.box[3], b.box[3]) + 1
    if x2 <= x1 or y2 <= y1:
        return 0.0
    part_a = a.mask[y1 - a.box[1] : y2 - a.box[1], x1 - a.box[0] : x2 - a.box[0]]
    part_b = b.mask[y1 - b.box[1] : y2 - b.box[1], x1 - b.box[0] : x2 - b.box[0]]
    intersection = int(np.count_nonzero(part_a & part_b))
    union = a.area + b.area - intersection
    # Two empty masks share nothing, and would divide by 0.
    return intersection / union if union >= 1 else 0.0


def evaluate_class(
    truth: Sequence[Sequence[Segment]],
    detections: Sequence[Detections],
    binary_thresh: float,
    iou_thresholds: Sequence[float],
) -> list[ClassResult]:
    """One class over all images, one result per threshold.

    Args:
        truth: per image, the ground-truth segments of the class.
        detections: per image, those of the class, with masks.
    """
    best_iou, best_gt = _match(truth, detections, binary_thresh)
    # The empty float64 array turns all into float64, and serves where there are no images.
    scores = np.concatenate([np.zeros(0), *(found.scores for found in detections)])
    # The original's order: numpy's default sort of float64, which is not stable, so ties must go through the same call.
    order = np.argsort(-scores)
    best_iou, best_gt = best_iou[order], best_gt[order]
    num_gt = sum(len(segments) for segments in truth)
    results = []
    for threshold in iou_thresholds:
        precision, recall = precision_recall(first_hits(best_iou, best_gt, threshold), num_gt)
        results.append(ClassResult(eleven_point_ap(recall, precision), recall, precision, num_gt))
    return results


def _match(
    truth: Sequence[Sequence[Segment]], detections: Sequence[Detections], binary_thresh: float
) -> tuple[np.ndarray, np.ndarray]:
    """Best IoU (D,) and the object that has it (D,), numbered over all images; stored order, -1 for none."""
    best_iou, best_gt, offset = [], [], 0
    for segments, found in zip(truth, detections):
        boxes = found.boxes.astype(np.float64)
        for box, mask in zip(boxes, found.masks if found.masks is not None else ()):
            # Resizing masks is most of the work, and most detections lie in images without the class.
            detection = render_segment(box, mask, binary_thresh) if segments else None
            overlaps = [segment_iou(detection, s) for s in segments] if detection else []
            # Of equal overlaps the first object, and no other is tried if that one is taken: the original's protocol.
            winner = int(np.argmax(overlaps)) if overlaps else -1
            # -1 is below any threshold: in an image without the class a detection is false whatever the threshold is.
            best_iou.append(overlaps[winner] if overlaps else -1.0)
            best_gt.append(offset + winner if overlaps else -1)
        offset += len(segments)
    return np.array(best_iou, dtype=np.float64), np.array(best_gt, dtype=np.int64)


def sds_curves(
    ground_truth: Iterable[Entry],
    classes: Sequence[str],
    detections: Sequence[Detections],
    binary_thresh: float = 0.4,
    iou_thresholds: Sequence[float] = (0.5, 0.7),
) -> dict[int, list[ClassResult]]:
    """Class number 1.. -> one `ClassResult` per threshold; arguments and errors as `evaluate_sds`."""
    truth, sizes, ids = _group_by_class(ground_truth, len(classes))
    warnings = check_results(classes, len(sizes), detections, sizes, ids, binary_thresh)
    curves = {
        c: evaluate_class(truth[c], [found.of_class(c) for found in detections], binary_thresh, iou_thresholds)
        for c in range(1, len(classes))
    }
    if not warnings and not any(result.ap for results in curves.values() for result in results):
        warnings = _explain(classes, detections, truth)
    for warning in warnings:
        logger.warning(warning)
    return curves


def _explain(
    classes: Sequence[str], detections: Sequence[Detections], truth: Sequence[Sequence[Sequence[Segment]]]
) -> list[str]:
    """Why every AP is 0."""
    gt_boxes, gt_classes = [], []
    # Class 0 has a list for every image as well, all of them empty.
    for i in range(len(truth[0])):
        objects = [(s.box, c) for c, images in enumerate(truth) for s in images[i]]
        gt_boxes.append(np.array([box for box, _ in objects], dtype=np.float64).reshape(-1, 4))
        gt_classes.append(np.array([c for _, c in objects], int))
    return explain_low_ap(classes, detections, gt_boxes, gt_classes)


def _group_by_class(
    ground_truth: Iterable[Entry], num_classes: int
) -> tuple[list[list[list[Segment]]], list[tuple[int, int]], list[Any]]:
    """truth[class][image] = segments, and size and id of every image.

    Masks are read one image at a time: those of VOC val are 3 GB.
    """
    truth: list[list[list[Segment]]] = [[] for _ in range(num_classes)]
    sizes, ids = [], []
    for entry in ground_truth:
        for per_image in truth:
            per_image.append([])
        for mask, c in zip(entry.read_masks(), entry.classes.tolist()):
            if not 0 < c < num_classes:
                raise EvaluationError(f"image {entry.image_id}: an object of class {c}, expected 1..{num_classes - 1}")
            segment = crop_segment(mask)
            if segment is not None:
                truth[c][-1].append(segment)
        sizes.append(entry.size)
        ids.append(entry.image_id)
    return truth, sizes, ids


def evaluate_sds(
    ground_truth: Iterable[Entry],
    classes: Sequence[str],
    detections: Sequence[Detections],
    binary_thresh: float = 0.4,
    iou_thresholds: Sequence[float] = (0.5, 0.7),
) -> dict[str, float]:
    """mAP^r of the SDS protocol, number for number the original's (11 points, no second choice).

    Args:
        ground_truth: the images, with masks, not mirrored; may be a generator.
        classes: names, background first.
        detections: of every image, with masks, in original image pixels.
        binary_thresh: cut of the probabilities after resizing them to the box.
        iou_thresholds: one mAP^r each.

    Returns:
        `mAP^r@<t>`: mean over all classes, a class without objects counting 0 (original's behaviour);
        `mAP^r@<t> (classes with objects)`: the same over classes that occur;
        `AP^r@<t>/<class>`: per class; `classes with objects`: how many occur.

    Raises:
        EvaluationError: results that cannot belong to this ground truth, see `check_results`.
    """
    curves = sds_curves(ground_truth, classes, detections, binary_thresh, iou_thresholds)
    occurring = [c for c in curves if curves[c][0].num_gt] if iou_thresholds else []
    result = {"classes with objects": float(len(occurring))}
    for i, threshold in enumerate(iou_thresholds):
        result[f"mAP^r@{threshold:g}"] = _mean([curves[c][i].ap for c in curves])
        result[f"mAP^r@{threshold:g} (classes with objects)"] = _mean([curves[c][i].ap for c in occurring])
        result.update({f"AP^r@{threshold:g}/{classes[c]}": curves[c][i].ap for c in curves})
    return result


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def format_table(result: dict[str, float], classes: Sequence[str]) -> str:
    """The dict of `evaluate_sds` as a table in percent, one line per class, the means below."""
    thresholds = [key[len("mAP^r@") :] for key in result if key.startswith("mAP^r@") and " " not in key]
    width = max(len(name) for name in [*classes, "mean of classes with objects"])
    lines = [" " * width + "".join(f"{'@' + t:>9}" for t in thresholds)]

    def add(label: str, keys: list[str]) -> None:
        lines.append(f"{label:<{width}}" + "".join(f"{100 * result[key]:9.2f}" for key in keys))

    for name in classes[1:]:
        add(name, [f"AP^r@{t}/{name}" for t in thresholds])
    add("mAP^r", [f"mAP^r@{t}" for t in thresholds])
    if result["classes with objects"] < len(classes) - 1:
        add("mean of classes with objects", [f"mAP^r@{t} (classes with objects)" for t in thresholds])
        present = f"{result['classes with objects']:.0f} of {len(classes) - 1} classes"
        lines.append(f"({present} have objects; the others count 0 in mAP^r, as in the original)")
    return "\n".join(lines)


@dataclass(frozen=True)
class SdsEvaluator:
    """mAP^r of a data set's images at mask IoU 0.5 and 0.7, which FCIS reports on VOC; see `evaluate_sds`."""

    entries: Sequence[Entry]
    classes: Sequence[str]
    binary_thresh: float = 0.4

    def evaluate(self, detections: Sequence[Detections], folder: str) -> dict[str, float]:
        """Scores by name; `folder` gets the detections class by class (`lib.evaluation.class_files`)."""
        scores = evaluate_sds(self.entries, self.classes, detections, self.binary_thresh)
        write_class_files(folder, self.classes, [entry.image_id for entry in self.entries], detections)
        return scores

    def table(self, scores: dict[str, float]) -> str:
        """AP^r per class and their mean, in percent."""
        return format_table(scores, self.classes)
