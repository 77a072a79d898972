"""The COCO file of detections is one that pycocotools reads back to the same masks."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from fullconv.lib.dataset.detection.coco_categories import COCO_CATEGORIES
from fullconv.lib.dataset.detection.coco_json import CocoFile
from fullconv.lib.mask.encode import paste_mask
from fullconv.lib.structures.detections import Detections

SIZE = (60, 80)
DISC = (np.hypot(*np.mgrid[-1:1:21j, -1:1:21j]) < 0.9).astype(np.float32)
BOXES = np.array([[10.2, 5, 50, 45.7], [-5, 30, 30, 70], [70, 50, 70, 59]])
SCORES = [0.9, 0.8, 0.7]


def read(path):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


@pytest.mark.parametrize("polygons", [False, True])
def test_round_trip(tmp_path, polygons):
    file = CocoFile({17: "cat", 18: "dog"}, polygons)
    file.add("a.jpg", SIZE, Detections.empty(21))
    file.add("b.jpg", SIZE, Detections(BOXES, SCORES, [1, 2, 1], np.repeat(DISC[None], 3, axis=0)))
    file.write(tmp_path / "d.json")
    coco = read(tmp_path / "d.json")
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == ["a.jpg", "b.jpg"]
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[2]))
    assert [a["category_id"] for a in annotations] == [17, 18, 17]
    assert [a["score"] for a in annotations] == SCORES
    for annotation, box in zip(annotations, BOXES):
        mask, expected = coco.annToMask(annotation).astype(bool), paste_mask(DISC, box, *SIZE)
        if not polygons:
            np.testing.assert_array_equal(mask, expected)
        # pycocotools cuts half a border pixel off outlines drawn through pixel centres.
        elif expected.sum() > 100:
            assert (mask & expected).sum() / (mask | expected).sum() > 0.85
        x, y, width, height = annotation["bbox"]
        assert x >= 0 and y >= 0 and x + width <= SIZE[1] and y + height <= SIZE[0]
        assert annotation["area"] == expected.sum() and annotation["iscrowd"] == 0


def test_polygons_are_used_where_a_mask_has_an_outline(tmp_path):
    file = CocoFile({1: "cat"}, polygons=True)
    file.add("a.jpg", SIZE, Detections(BOXES, SCORES, [1, 1, 1], np.stack([DISC, DISC, DISC * 0])))
    kinds = [type(a["segmentation"]) for a in file.annotations]
    assert kinds == [list, list, dict]


def test_boxes_without_masks(tmp_path):
    file = CocoFile({17: "cat", 18: "dog"})
    file.add("a.jpg", SIZE, Detections(BOXES, SCORES, [1, 2, 1]))
    file.write(tmp_path / "d.json")
    annotations = read(tmp_path / "d.json").loadAnns([1, 2, 3])
    assert all("segmentation" not in a for a in annotations)
    assert [a["bbox"] for a in annotations] == [[10.2, 5, 40.8, 41.7], [0, 30, 31, 30], [70, 50, 1, 10]]
    assert [a["area"] for a in annotations] == [1701.36, 930, 10]


def test_an_empty_file_is_still_one(tmp_path):
    CocoFile({1: "cat"}).write(tmp_path / "d.json")
    content = json.loads((tmp_path / "d.json").read_text())
    assert content == {"annotations": [], "categories": [{"id": 1, "name": "cat"}], "images": []}


def test_coco_categories(data_dir):
    annotations = json.loads((data_dir / "coco128/annotations/instances_train2017.json").read_text())
    assert {c["id"]: c["name"] for c in annotations["categories"]} == COCO_CATEGORIES
