"""Which evaluator a data set gets, and boxes-only data through all of it."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from fullconv.lib.dataset.detection.detection_set import DetectionSet
from fullconv.lib.dataset.registry import detection_set
from fullconv.lib.evaluation.coco import CocoEvaluator
from fullconv.lib.evaluation.evaluator import evaluator_for
from fullconv.lib.evaluation.sanity import EvaluationError
from fullconv.lib.evaluation.sds_mapr import SdsEvaluator
from fullconv.lib.evaluation.voc_boxes import VocBoxEvaluator
from fullconv.lib.structures.detections import Detections
from fullconv.lib.visualize.detection_gallery import write_gallery


@pytest.fixture
def boxes_only(tmp_path):
    """A COCO file without any segmentation, two images, a cat in each."""
    images = [{"id": k, "file_name": f"{k}.png", "height": 40, "width": 60} for k in (3, 5)]
    boxes = {"id": 0, "category_id": 2, "bbox": [10, 10, 20, 15]}
    annotations = [{**boxes, "id": k, "image_id": image["id"]} for k, image in enumerate(images)]
    for image in images:
        cv2.imwrite(str(tmp_path / image["file_name"]), np.full((40, 60, 3), 90, np.uint8))
    content = {"images": images, "annotations": annotations, "categories": [{"id": 2, "name": "cat"}]}
    (tmp_path / "own.json").write_text(json.dumps(content))
    return detection_set("coco", "own", str(tmp_path), str(tmp_path), masks=False)


def perfect(dataset, size=None):
    found = []
    for entry in dataset.entries():
        masks = None if size is None else np.ones((len(entry.boxes), size, size))
        found.append(Detections(entry.boxes, np.full(len(entry.boxes), 0.9), entry.classes, masks))
    return found


def test_boxes_only_data_is_scored_and_shown(boxes_only, tmp_path):
    evaluator = evaluator_for(boxes_only, masks=False)
    scores = evaluator.evaluate(perfect(boxes_only), str(tmp_path / "results"))
    assert scores["box AP"] == pytest.approx(1) and "AP" not in scores
    assert "100.00" in evaluator.table(scores) and (tmp_path / "results" / "detections_own_results.json").is_file()
    page = write_gallery(tmp_path / "pictures", boxes_only.entries(), boxes_only.classes, perfect(boxes_only))
    assert "1 objects, 1 found, 0 false" in page.read_text() and "box IoU" in page.read_text()


def test_masks_of_a_network_are_not_scored_on_boxes_only_data(boxes_only, tmp_path):
    scores = evaluator_for(boxes_only, masks=True).evaluate(perfect(boxes_only, 21), str(tmp_path))
    assert scores["box AP"] == pytest.approx(1) and "AP" not in scores


@pytest.mark.parametrize(
    "name, image_set, masks, kind",
    [
        ("shapes", "train2", True, SdsEvaluator),
        ("shapes", "train2", False, VocBoxEvaluator),
        ("PascalVOC", "shapes_train", True, SdsEvaluator),
        ("coco", "train", True, CocoEvaluator),
        ("coco", "train", False, CocoEvaluator),
    ],
)
def test_the_embedded_set_through_every_evaluator(tmp_path, name, image_set, masks, kind):
    detection_set("shapes", "train2", str(tmp_path))
    dataset = detection_set(name, image_set, str(tmp_path), str(tmp_path / "shapes"))
    evaluator = evaluator_for(dataset, masks)
    assert type(evaluator) is kind
    scores = evaluator.evaluate(perfect(dataset, 21 if masks else None), str(tmp_path / "results"))
    best = {SdsEvaluator: "mAP^r@0.5 (classes with objects)", VocBoxEvaluator: "mAP@0.5", CocoEvaluator: "box AP"}[kind]
    assert scores[best] > 0.3 if kind is SdsEvaluator else scores[best] == pytest.approx(1)
    assert dataset.classes[1] in evaluator.table(scores)
    assert ("AP" in scores) == (kind is CocoEvaluator and masks)


def test_what_cannot_be_scored(tmp_path):
    joined = detection_set("shapes", "train1+val1", str(tmp_path))
    with pytest.raises(EvaluationError, match=r"voc_shapes_train_first1\+voc_shapes_val_first1 is several .*one at a"):
        evaluator_for(joined, masks=True)
    with pytest.raises(EvaluationError, match="mine: there is no evaluation for a DetectionSet"):
        evaluator_for(DetectionSet("mine", ["__background__", "a"], []), masks=True)
