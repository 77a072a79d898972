"""COCO evaluation of boxes and instance masks: a results file in the official format, then pycocotools' numbers."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
from dataclasses import dataclass
from typing import Any, Iterator, Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fullconv.lib.evaluation.coco_annotations import as_coco, load_ground_truth, numbers
from fullconv.lib.evaluation.sanity import check_results, explain_low_ap
from fullconv.lib.evaluation.thresholds import coco_thresholds, threshold_lines
from fullconv.lib.mask.encode import encode_masks
from fullconv.lib.structures.detections import Detections
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
BOX = "box "
"""Prefix of the names of box scores; those of masks have none, as the first thing the original reports."""


@dataclass(frozen=True)
class CocoEvaluator:
    """Scores by pycocotools of boxes, and of masks unless `masks` is False, restricted to `image_ids`.

    annotation_file: COCO json; without "annotations" (a test set) nothing is scored, and without `masks` it need not
    have a `segmentation`. image_ids: ids of the images, in the order of the results. image_sizes: (height, width) of
    each. category_ids: category_ids[k - 1] is the COCO id of classes[k]. classes: names, background first.
    result_name: name of the image set in the file's name. binary_thresh: cut of mask probabilities after resizing them
    to the box.
    """

    annotation_file: str
    image_ids: Sequence[Any]
    image_sizes: Sequence[tuple[int, int]]
    category_ids: Sequence[Any]
    classes: Sequence[str]
    result_name: str = "results"
    binary_thresh: float = 0.4
    masks: bool = True

    def evaluate(self, detections: Sequence[Detections], folder: str) -> dict[str, float]:
        """Write `<folder>/detections_<result_name>_results.json` and score the detections of every image.

        Returns:
            `AP`, `AP@0.5`, ... (see SUMMARY), `AP/<class>` and `threshold/<class>` (`lib.evaluation.thresholds`) of
            masks, the same with the prefix `box ` for boxes; -1 where no object of that kind exists (pycocotools'
            convention). Empty for a test set.

        Raises:
            DatasetError: the annotation file is missing or no COCO file.
            EvaluationError: results that cannot belong to this data set, see lib.evaluation.sanity.
        """
        truth = load_ground_truth(
            self.annotation_file, self.image_ids, self.image_sizes, self.category_ids, self.classes, self.masks
        )
        sizes, ids = self.image_sizes, self.image_ids
        warnings = check_results(self.classes, len(ids), detections, sizes, ids, self.binary_thresh, self.masks)
        records = list(self._records(detections))
        path = os.path.join(folder, f"detections_{self.result_name}_results.json")
        write_results(path, _only(records, "segmentation" if self.masks else "bbox"))
        for warning in warnings:
            logger.warning(warning)
        if truth is None:
            logger.info("%s has no annotations, so nothing is scored: submit %s", self.annotation_file, path)
            return {}
        logger.info("%d detections written to %s", len(records), path)
        return self._scores(truth, records, detections, explained=bool(warnings))

    def _scores(
        self, truth: COCO, records: list[dict[str, Any]], detections: Sequence[Detections], explained: bool
    ) -> dict[str, float]:
        images, categories = numbers(self.image_ids), numbers(self.category_ids)
        names = {categories[key]: name for key, name in zip(self.category_ids, self.classes[1:])}
        records = [
            {**r, "image_id": images[r["image_id"]], "category_id": categories[r["category_id"]]} for r in records
        ]
        result = _score(truth, _only(records, "segmentation"), "segm", names) if self.masks else {}
        boxes = _score(truth, _only(records, "bbox"), "bbox", names)
        # Not == 0: a few lucky hits of a network that has learned nothing need an explanation too, and -1 is no object
        # at all.
        if (result or boxes)["AP@0.5"] < 0.001 and not explained:
            for reason in self._explain(truth, detections):
                logger.warning(reason)
        return {**result, **{f"{BOX}{key}": value for key, value in boxes.items()}}

    def _records(self, detections: Sequence[Detections]) -> Iterator[dict[str, Any]]:
        """Every detection as box (x, y, width, height) and mask, class by class as in the original."""
        for label, category_id in enumerate(self.category_ids, start=1):
            for image_id, (height, width), found in zip(self.image_ids, self.image_sizes, detections):
                if not (found.labels == label).any():
                    continue
                found = found.of_class(label)
                boxes = found.boxes.astype(np.float64).clip(0, [width - 1, height - 1, width - 1, height - 1])
                key = {"image_id": _plain(image_id), "category_id": _plain(category_id)}
                records = [
                    # Our ends belong to the box, COCO's width and height are distances.
                    {**key, "bbox": [x1, y1, x2 - x1 + 1, y2 - y1 + 1], "score": score}
                    for (x1, y1, x2, y2), score in zip(boxes.tolist(), found.scores.tolist())
                ]
                if self.masks and found.masks is not None:
                    codes = encode_masks(found.masks, boxes, int(height), int(width), self.binary_thresh)
                    records = [{**record, "segmentation": code} for record, code in zip(records, codes)]
                yield from records

    def _explain(self, truth: COCO, detections: Sequence[Detections]) -> list[str]:
        """Why AP is next to 0."""
        images, categories = numbers(self.image_ids), numbers(self.category_ids)
        class_of = {categories[category_id]: c for c, category_id in enumerate(self.category_ids, start=1)}
        objects = [truth.imgToAnns.get(images[image_id], []) for image_id in self.image_ids]
        # Back to inclusive ends.
        corners = [[(x, y, x + w - 1, y + h - 1) for x, y, w, h in (a["bbox"] for a in part)] for part in objects]
        gt_boxes = [np.array(rows, dtype=np.float64).reshape(-1, 4) for rows in corners]
        gt_classes = [np.array([class_of[a["category_id"]] for a in part], int) for part in objects]
        return explain_low_ap(self.classes, detections, gt_boxes, gt_classes)

    def table(self, scores: dict[str, float]) -> str:
        """COCO's twelve numbers and AP per class, for masks and boxes, in percent, and the classes' thresholds; "no
        such object" is n/a.
        """
        if not scores:
            return "no annotations: nothing was scored"
        columns = {"mask": "", "box": BOX} if self.masks else {"box": BOX}
        rows = [*SUMMARY, *(f"AP/{name}" for name in self.classes[1:])]
        width = max(map(len, rows))
        lines = [f"{'':<{width}}" + "".join(f"{column:>9}" for column in columns)]
        for row in rows:
            lines.append(f"{row:<{width}}" + "".join(f"{_percent(scores[p + row]):>9}" for p in columns.values()))
        for prefix in columns.values():
            lines += threshold_lines(scores, self.classes[1:], prefix)
        return "\n".join(lines)


def _plain(value: Any) -> Any:
    """A numpy number as a Python one: json writes no other."""
    return value.item() if isinstance(value, np.generic) else value


def _only(records: list[dict[str, Any]], geometry: str) -> list[dict[str, Any]]:
    """Records with a mask or a box: given both, pycocotools takes the box's area for the size of a mask."""
    return [{k: r[k] for k in ("image_id", "category_id", geometry, "score")} for r in records]


def write_results(path: str, records: list[dict[str, Any]]) -> None:
    """Write a COCO results file in one step, never half of it; one record a line, keys sorted."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    # A record a line: files of two tests can be compared with diff.
    lines = ",\n".join(json.dumps(record, sort_keys=True) for record in records)
    atomic.write_text(path, f"[\n{lines}\n]\n")


def _score(truth: COCO, records: list[dict[str, Any]], iou_type: str, names: dict[int, str]) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        # pycocotools cannot load an empty list.
        found = truth.loadRes(records) if records else as_coco([], [], [])
        evaluation = COCOeval(truth, found, iou_type)
        evaluation.params.imgIds = truth.getImgIds()
        # Our classes alone, as the file may have more. pycocotools sorts them, so below they are read in its order.
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
    return {**result, **coco_thresholds(evaluation, names)}


def _percent(value: float) -> str:
    return "n/a" if value < 0 else f"{100 * value:.2f}"
