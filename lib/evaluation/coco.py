"""COCO evaluation of instance masks: a results file in the official format, then pycocotools' numbers."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
from typing import Iterator, Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fullconv.lib.evaluation.coco_annotations import as_coco, load_ground_truth
from fullconv.lib.evaluation.sanity import check_results, explain_low_ap
from fullconv.lib.mask.encode import encode_masks
from fullconv.lib.utils import atomic

logger = logging.getLogger(__name__)

# The twelve numbers of pycocotools, in its order.
SUMMARY = (
    "AP",
    "AP@0.5",
    "AP@0.75",
    "AP small",
    "AP medium",
    "AP large",
    "AR@1",
    "AR@10",
    "AR@100",
    "AR small",
    "AR medium",
    "AR large",
)


def evaluate_coco(
    annotation_file: str,
    image_ids: Sequence,
    category_ids: Sequence[int],
    classes: Sequence[str],
    all_boxes: Sequence[Sequence[np.ndarray]],
    all_masks: Sequence[Sequence[np.ndarray]],
    image_sizes: Sequence[tuple[int, int]],
    output_dir: str,
    binary_thresh: float = 0.4,
    result_name: str = "results",
) -> dict[str, float]:
    """Write the results as json and score masks and boxes with pycocotools, restricted to `image_ids`.

    Args:
        annotation_file: COCO json; without "annotations" (a test set) nothing is scored.
        image_ids: ids of the images, in the order of the results.
        category_ids: category_ids[k - 1] is the COCO id of classes[k].
        classes: names, '__background__' first.
        all_boxes: all_boxes[class][image] (m, 5) x1, y1, x2, y2, score in original image pixels.
        all_masks: all_masks[class][image] (m, M, M) or (m, 1, M, M) foreground probabilities.
        image_sizes: (height, width) per image.
        output_dir: where `detections_<result_name>_results.json` goes; made if missing.
        binary_thresh: cut of the probabilities after resizing them to the box.
        result_name: name of the image set in the file's name.

    Returns:
        `AP`, `AP@0.5`, ... (see SUMMARY) and `AP/<class>` of masks, the same with the prefix `box ` for
        boxes; -1 where no object of that kind exists (pycocotools' convention). Empty for a test set.

    Raises:
        DatasetError: the annotation file is missing or no COCO file.
        EvaluationError: results that cannot belong to this data set, see lib.evaluation.sanity.
    """
    truth = load_ground_truth(annotation_file, image_ids, image_sizes, category_ids, classes)
    warnings = check_results(classes, len(image_ids), all_boxes, all_masks, image_sizes, image_ids, binary_thresh)
    records = list(_records(image_ids, category_ids, all_boxes, all_masks, image_sizes, binary_thresh))
    path = os.path.join(output_dir, f"detections_{result_name}_results.json")
    write_results(path, _only(records, "segmentation"))
    for warning in warnings:
        logger.warning(warning)
    if truth is None:
        logger.info("%s has no annotations, so nothing is scored: submit %s", annotation_file, path)
        return {}
    logger.info("%d detections written to %s", len(records), path)
    names = dict(zip(category_ids, classes[1:]))
    result = _score(truth, _only(records, "segmentation"), "segm", names)
    if result["AP@0.5"] < 0.001 and not warnings:
        for reason in _explain(truth, image_ids, category_ids, classes, all_boxes):
            logger.warning(reason)
    box_result = _score(truth, _only(records, "bbox"), "bbox", names)
    return {**result, **{f"box {key}": value for key, value in box_result.items()}}


def _records(image_ids, category_ids, all_boxes, all_masks, image_sizes, binary_thresh) -> Iterator[dict]:
    """Every detection with its mask and COCO box (x, y, width, height), class by class as in the original."""
    for c, category_id in enumerate(category_ids, start=1):
        for i, (height, width) in enumerate(image_sizes):
            rows = np.asarray(all_boxes[c][i], dtype=np.float64).reshape(-1, 5)
            if not len(rows):
                continue
            boxes = rows[:, :4].clip(0, [width - 1, height - 1, width - 1, height - 1])
            masks = np.asarray(all_masks[c][i])
            masks = masks.reshape(len(rows), *masks.shape[-2:])
            rles = encode_masks(masks, boxes, int(height), int(width), binary_thresh)
            key = {"image_id": _plain(image_ids[i]), "category_id": _plain(category_id)}
            for (x1, y1, x2, y2), score, rle in zip(boxes.tolist(), rows[:, 4].tolist(), rles):
                bbox = [x1, y1, x2 - x1 + 1, y2 - y1 + 1]
                yield {**key, "segmentation": rle, "bbox": bbox, "score": score}


def _plain(value):
    """A numpy number as a Python one: json writes no other."""
    return value.item() if isinstance(value, np.generic) else value


def _only(records: list[dict], geometry: str) -> list[dict]:
    """Records with a mask or a box: given both, pycocotools takes the box's area for the size of a mask."""
    return [{k: r[k] for k in ("image_id", "category_id", geometry, "score")} for r in records]


def write_results(path: str, records: list[dict]) -> None:
    """Write a COCO results file in one step, never half of it; one record a line, keys sorted."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    lines = ",\n".join(json.dumps(record, sort_keys=True) for record in records)
    atomic.write_text(path, f"[\n{lines}\n]\n")


def _score(truth: COCO, records: list[dict], iou_type: str, names: dict[int, str]) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        # pycocotools cannot load an empty list.
        found = truth.loadRes(records) if records else as_coco([], [], [])
        evaluation = COCOeval(truth, found, iou_type)
        evaluation.params.imgIds = truth.getImgIds()
        evaluation.params.catIds = list(names)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    result = dict(zip(SUMMARY, map(float, evaluation.stats)))
    # precision: IoU threshold x recall x category x area x detections per image; the last two as in "AP".
    for k, category_id in enumerate(evaluation.params.catIds):
        precision = evaluation.eval["precision"][:, :, k, 0, -1]
        counted = precision[precision > -1]
        result[f"AP/{names[int(category_id)]}"] = float(counted.mean()) if counted.size else -1.0
    return result


def _explain(truth: COCO, image_ids, category_ids, classes, all_boxes) -> list[str]:
    """Why AP is next to 0."""
    class_of = {category_id: c for c, category_id in enumerate(category_ids, start=1)}
    objects = [truth.imgToAnns.get(image_id, []) for image_id in image_ids]
    corners = [[(x, y, x + w - 1, y + h - 1) for x, y, w, h in (a["bbox"] for a in part)] for part in objects]
    gt_boxes = [np.array(rows, dtype=np.float64).reshape(-1, 4) for rows in corners]
    gt_classes = [[class_of[a["category_id"]] for a in part] for part in objects]
    return explain_low_ap(classes, all_boxes, gt_boxes, gt_classes)


def format_table(result: dict[str, float], classes: Sequence[str]) -> str:
    """The dict of `evaluate_coco` as a table in percent; -1, "no such object", is printed as n/a."""
    if not result:
        return "no annotations: nothing was scored"
    rows = [*SUMMARY, *(f"AP/{name}" for name in classes[1:])]
    width = max(map(len, rows))
    lines = [f"{'':<{width}}{'mask':>9}{'box':>9}"]
    for row in rows:
        lines.append(f"{row:<{width}}{_percent(result[row]):>9}{_percent(result['box ' + row]):>9}")
    return "\n".join(lines)


def _percent(value: float) -> str:
    return "n/a" if value < 0 else f"{100 * value:.2f}"
