"""mAP^r, the mask AP of "Simultaneous Detection and Segmentation" (ECCV 2014), as FCIS reports it on VOC.

Letters: D detections of one class over all images, n ground-truth objects, M mask resolution.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Iterable, Sequence

import cv2
import numpy as np

from fullconv.lib.evaluation.sanity import EvaluationError, check_results, explain_low_ap
from fullconv.lib.evaluation.voc_ap import eleven_point_ap, precision_recall

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
    return intersection / union if union >= 1 else 0.0


def evaluate_class(
    truth: Sequence[Sequence[Segment]],
    boxes: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    binary_thresh: float,
    iou_thresholds: Sequence[float],
) -> list[ClassResult]:
    """One class over all images, one result per threshold.

    Args:
        truth: per image, the ground-truth segments of the class.
        boxes: per image, (m, 5) x1, y1, x2, y2, score in image pixels.
        masks: per image, (m, M, M) foreground probabilities.
    """
    best_iou, best_gt = _match(truth, boxes, masks, binary_thresh)
    scores = np.concatenate([b[:, 4] for b in boxes]) if len(boxes) else np.zeros(0)
    # The original's order: numpy's default sort, which is not stable, so ties must go through the same call.
    order = np.argsort(-scores)
    best_iou, best_gt = best_iou[order], best_gt[order]
    num_gt = sum(len(segments) for segments in truth)
    results = []
    for threshold in iou_thresholds:
        hit = np.flatnonzero(best_iou >= threshold)
        # The first to reach an object takes it; a later one is false even if another object would do.
        _, first = np.unique(best_gt[hit], return_index=True)
        true_positive = np.zeros(len(order), dtype=bool)
        true_positive[hit[first]] = True
        precision, recall = precision_recall(true_positive, num_gt)
        results.append(ClassResult(eleven_point_ap(recall, precision), recall, precision, num_gt))
    return results


def _match(truth, boxes, masks, binary_thresh) -> tuple[np.ndarray, np.ndarray]:
    """Best IoU (D,) and the object that has it (D,), numbered over all images; stored order, -1 for none."""
    best_iou, best_gt, offset = [], [], 0
    for segments, image_boxes, image_masks in zip(truth, boxes, masks):
        for box, mask in zip(image_boxes, image_masks):
            # Resizing masks is most of the work, and most detections lie in images without the class.
            detection = render_segment(box, mask, binary_thresh) if segments else None
            overlaps = [segment_iou(detection, s) for s in segments] if detection else []
            winner = int(np.argmax(overlaps)) if overlaps else -1
            best_iou.append(overlaps[winner] if overlaps else -1.0)
            best_gt.append(offset + winner if overlaps else -1)
        offset += len(segments)
    return np.array(best_iou, dtype=np.float64), np.array(best_gt, dtype=np.int64)


def sds_curves(
    ground_truth: Iterable[dict],
    classes: Sequence[str],
    all_boxes: Sequence[Sequence[np.ndarray]],
    all_masks: Sequence[Sequence[np.ndarray]],
    binary_thresh: float = 0.4,
    iou_thresholds: Sequence[float] = (0.5, 0.7),
    image_ids: Sequence | None = None,
) -> dict[int, list[ClassResult]]:
    """Class number 1.. -> one `ClassResult` per threshold; arguments and errors as `evaluate_sds`."""
    truth, sizes = _group_by_class(ground_truth, len(classes), image_ids)
    warnings = check_results(classes, len(truth[0]), all_boxes, all_masks, sizes, image_ids, binary_thresh)
    curves = {
        c: evaluate_class(
            truth[c],
            [np.asarray(b, dtype=np.float64).reshape(-1, 5) for b in all_boxes[c]],
            [_as_stack(m) for m in all_masks[c]],
            binary_thresh,
            iou_thresholds,
        )
        for c in range(1, len(classes))
    }
    if not warnings and not any(result.ap for results in curves.values() for result in results):
        warnings = _explain(classes, all_boxes, truth)
    for warning in warnings:
        logger.warning(warning)
    return curves


def _explain(classes, all_boxes, truth) -> list[str]:
    """Why every AP is 0."""
    gt_boxes, gt_classes = [], []
    for i in range(len(truth[0])):
        objects = [(s.box, c) for c, images in enumerate(truth) for s in images[i]]
        gt_boxes.append(np.array([box for box, _ in objects], dtype=np.float64).reshape(-1, 4))
        gt_classes.append([c for _, c in objects])
    return explain_low_ap(classes, all_boxes, gt_boxes, gt_classes)


def _group_by_class(ground_truth, num_classes, image_ids) -> tuple[list[list[list[Segment]]], list | None]:
    """truth[class][image] = segments, and (height, width) per image where every image tells it.

    Images are read one at a time, so that a generator never holds all full masks.
    """
    truth: list[list[list[Segment]]] = [[] for _ in range(num_classes)]
    sizes = []
    for index, image in enumerate(ground_truth):
        for per_image in truth:
            per_image.append([])
        name = image_ids[index] if image_ids is not None and index < len(image_ids) else index
        if len(image["masks"]) != len(image["classes"]):
            counts = f"{len(image['masks'])} masks but {len(image['classes'])} classes"
            raise EvaluationError(f"image {name}: {counts}")
        for mask, c in zip(image["masks"], image["classes"]):
            if not 0 < int(c) < num_classes:
                raise EvaluationError(f"image {name}: an object of class {int(c)}, expected 1..{num_classes - 1}")
            segment = crop_segment(np.asarray(mask, dtype=bool))
            if segment is not None:
                truth[int(c)][index].append(segment)
        sizes.append(np.shape(image["masks"])[1:])
    return truth, sizes if all(len(size) == 2 and min(size) for size in sizes) else None


def _as_stack(masks) -> np.ndarray:
    """(m, M, M) or (m, 1, M, M) masks of any real type as (m, M, M) of a type OpenCV resizes."""
    masks = np.asarray(masks)
    if masks.size == 0:
        return np.zeros((0, 1, 1), dtype=np.float32)
    masks = masks.reshape(len(masks), *masks.shape[-2:])
    return masks if masks.dtype in (np.float32, np.float64) else masks.astype(np.float32)


def evaluate_sds(
    ground_truth: Iterable[dict],
    classes: Sequence[str],
    all_boxes: Sequence[Sequence[np.ndarray]],
    all_masks: Sequence[Sequence[np.ndarray]],
    binary_thresh: float = 0.4,
    iou_thresholds: Sequence[float] = (0.5, 0.7),
    image_ids: Sequence | None = None,
) -> dict[str, float]:
    """mAP^r of the SDS protocol, number for number the original's (11 points, no second choice).

    Args:
        ground_truth: per image a dict of `masks` (n, h, w) bool and `classes` (n,) int; may be a generator.
        classes: names, '__background__' first.
        all_boxes: all_boxes[class][image] is (m, 5) x1, y1, x2, y2, score in original image pixels.
        all_masks: all_masks[class][image] is (m, M, M) or (m, 1, M, M) foreground probabilities.
        binary_thresh: cut of the probabilities after resizing them to the box.
        iou_thresholds: one mAP^r each.
        image_ids: names of the images, for messages only.

    Returns:
        `mAP^r@<t>`: mean over all classes, a class without objects counting 0 (original's behaviour);
        `mAP^r@<t> (classes with objects)`: the same over classes that occur;
        `AP^r@<t>/<class>`: per class; `classes with objects`: how many occur.

    Raises:
        EvaluationError: results that cannot belong to this ground truth, see `check_results`.
    """
    curves = sds_curves(ground_truth, classes, all_boxes, all_masks, binary_thresh, iou_thresholds, image_ids)
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
