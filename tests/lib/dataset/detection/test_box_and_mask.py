"""Boxes that are not the boxes of their masks: every way of writing them is named, and sound ones are left alone."""

import copy
import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from fullconv.lib.dataset.detection.box_and_mask import mask_box, mismatch
from fullconv.lib.dataset.detection.coco import COCO
from fullconv.lib.dataset.detection.coco_format import find_contradictions, find_problems, with_box
from fullconv.lib.dataset.errors import DatasetError

H, W = 120, 200
X, Y, WIDTH, HEIGHT = 30, 20, 50, 28
POLYGON = [[X, Y, X + WIDTH, Y, X + WIDTH, Y + HEIGHT, X, Y + HEIGHT]]


def rectangle(order="F", inverted=False):
    """The same object as a plain run-length code."""
    mask = np.zeros((H, W), bool)
    mask[Y : Y + HEIGHT, X : X + WIDTH] = True
    flat = mask.ravel(order)
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *changes, flat.size]).tolist()
    return {"size": [H, W], "counts": [0, *runs] if inverted else runs}


def compressed():
    mask = np.zeros((H, W), np.uint8, order="F")
    mask[Y : Y + HEIGHT, X : X + WIDTH] = 1
    code = coco_mask.encode(mask)
    return {"size": [H, W], "counts": code["counts"].decode()}


def data(bbox, segmentation=None, count=1, **changes):
    record = {"image_id": 1, "category_id": 1, "bbox": bbox, "segmentation": segmentation or POLYGON, **changes}
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "height": H, "width": W}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [{**copy.deepcopy(record), "id": i + 1} for i in range(count)],
    }


def texts(content, masks=True):
    return [str(problem) for problem in find_problems(content, masks) if problem.fatal]


@pytest.mark.parametrize("segmentation", [POLYGON, rectangle(), compressed()])
def test_the_box_of_a_mask(segmentation):
    assert mask_box(segmentation, (H, W)) == [X, Y, WIDTH, HEIGHT]
    assert mismatch([X, Y, WIDTH, HEIGHT], segmentation, (H, W)) is None
    # A pixel more or less is rounding, and a tenth of the object a hand that drew it.
    assert mismatch([X - 2, Y + 2, WIDTH + 4, HEIGHT - 3], segmentation, (H, W)) is None


def test_the_box_of_a_random_mask_is_that_of_pycocotools():
    rng = np.random.RandomState(0)
    for _ in range(50):
        mask = np.asfortranarray(rng.rand(13, 17) < rng.rand() ** 4, np.uint8)
        code = coco_mask.encode(mask)
        expected = coco_mask.toBbox(code).tolist() if mask.any() else None
        assert mask_box(code, (13, 17)) == expected


@pytest.mark.parametrize(
    "bbox, kind",
    [
        ([0, 0, 0, 0], "without width or height"),
        ([X, Y, 0, 0], "without width or height"),
        ([X, Y, X + WIDTH, Y + HEIGHT], "x1, y1, x2, y2: write x, y, width, height"),
        ([X + WIDTH, Y + HEIGHT, -WIDTH, -HEIGHT], "negative width or height"),
        ([X, Y + HEIGHT, WIDTH, -HEIGHT], "negative width or height"),
        ([X + WIDTH / 2, Y + HEIGHT / 2, WIDTH, HEIGHT], "the centre, width and height"),
        ([X, H - Y - HEIGHT, WIDTH, HEIGHT], "counted from the bottom"),
        ([X, H - Y, WIDTH, HEIGHT], "counted from the bottom"),
        ([X, H - Y - HEIGHT, X + WIDTH, H - Y], "counted from the bottom"),
        ([Y, X, HEIGHT, WIDTH], "y, x, height, width"),
        ([Y, X, Y + HEIGHT, X + WIDTH], "y1, x1, y2, x2"),
        ([X, 0, WIDTH, H], "as high as the image"),
        ([0, Y, W, HEIGHT], "as wide as the image"),
        ([0, 0, W, H], "the whole image"),
        ([X / W, Y / H, WIDTH / W, HEIGHT / H], "shares of the image's sides, 0 to 1"),
        ([(X + WIDTH / 2) / W, (Y + HEIGHT / 2) / H, WIDTH / W, HEIGHT / H], "shares of the image's sides, 0 to 1"),
        ([100 * X / W, 100 * Y / H, 100 * WIDTH / W, 100 * HEIGHT / H], "percent of the image's sides"),
        ([2 * X, 2 * Y, 2 * WIDTH, 2 * HEIGHT], "of the image at another size, 2 times"),
    ],
)
@pytest.mark.parametrize("segmentation", [POLYGON, compressed()])
def test_the_form_of_a_box_is_recognised(bbox, kind, segmentation):
    (text,) = texts(data(bbox, segmentation))
    assert text.startswith("annotation 1: field 'bbox' ") and kind in text
    assert f"{[float(v) for v in (X, Y, WIDTH, HEIGHT)]}, or leave bbox out" in text


@pytest.mark.parametrize(
    "segmentation, kind",
    [
        (rectangle("C"), "the run-length code goes along rows: it must go down columns"),
        (rectangle(inverted=True), "begins with the object: its first run is background"),
        (rectangle("C", inverted=True), "goes along rows, and begins with the object"),
        ([[X / W, Y / H, (X + WIDTH) / W, Y / H, X / W, (Y + HEIGHT) / H]], "the polygons are shares, 0 to 1"),
    ],
)
def test_the_form_of_a_mask_is_recognised(segmentation, kind):
    (text,) = texts(data([X, Y, WIDTH, HEIGHT], segmentation))
    assert text.startswith("annotation 1: field 'segmentation': ") and kind in text


def test_polygons_with_y_before_x():
    (text,) = texts(data([X, Y, WIDTH, HEIGHT], [[Y, X, Y, X + WIDTH, Y + HEIGHT, X + WIDTH]]))
    assert "y, x, height, width, or else the polygons are y1, x1, y2, x2, ..." in text


def test_boxes_of_no_known_form_bar_a_set_only_when_most_are_so():
    strange = data([X - 15, Y - 9, WIDTH + 21, HEIGHT + 40], count=5)
    assert len(texts(strange)) == 5 and "up to 31 pixels off the box of its mask" in texts(strange)[0]
    for record in strange["annotations"][:3]:
        record["bbox"] = [X, Y, WIDTH, HEIGHT]
    assert texts(strange) == [] and len(find_problems(strange)) == 2
    assert find_problems(strange, masks=False) == []


def test_crowds_are_not_compared():
    assert find_problems(data([0, 0, W, H], iscrowd=1)) == []


@pytest.mark.parametrize("bbox", [None, [], "absent"])
def test_a_missing_box_is_taken_from_the_mask(bbox):
    content = data(bbox)
    if bbox == "absent":
        del content["annotations"][0]["bbox"]
    assert find_problems(content) == find_problems(content, masks=False) == []
    assert with_box(content["annotations"][0], (H, W))["bbox"] == [X, Y, WIDTH, HEIGHT]
    content["annotations"][0]["segmentation"] = {"size": [H, W], "counts": [H * W]}
    assert "field 'bbox' is missing and the mask has no pixel" in texts(content)[0]
    del content["annotations"][0]["segmentation"]
    assert "fields missing: bbox: add them" in texts(content, masks=False)[0]


def _scaled(unit):
    box = [unit * X / W, unit * Y / H, unit * WIDTH / W, unit * HEIGHT / H]
    x, y, x2, y2 = box[0], box[1], box[0] + box[2], box[1] + box[3]
    return box, [[x, y, x2, y, x2, y2, x, y2]]


@pytest.mark.parametrize("masks", [True, False])
def test_a_file_in_shares(masks):
    (text,) = texts(data(*_scaled(1)), masks)
    assert text.startswith("annotations: all coordinates are shares of the image's sides, 0 to 1: write x")


def test_a_file_in_percent():
    content = data(*_scaled(100))
    content["images"][0].update(height=600, width=1000)
    assert texts(content) == [], "one object may lie in the corner"
    content["annotations"][0]["area"] = 50 * 28 * 5 * 5
    assert "all coordinates are percent" in texts(content)[0], "but it is not larger than its box"
    many = data([60, 70, 20, 25], [[60, 70, 80, 70, 80, 95]], count=10)
    many["images"][0].update(height=600, width=1000)
    assert "all coordinates are percent" in texts(many)[0]


def test_boxes_alone():
    assert "has a negative side" in texts(data([X, Y, -5, 9]), masks=False)[0]
    corners = data([150, 70, 190, 110], count=3)
    assert "and all others are x1, y1, x2, y2" in texts(corners, masks=False)[0]
    assert texts(data([150, 70, 40, 40], count=3), masks=False) == []


def test_numbers_beyond_all_floats_are_refused():
    assert "field 'bbox'" in texts(json.loads(json.dumps(data([10**400, 0, 5, 5]))))[0]


def test_real_annotations_pass(data_dir):
    with open(data_dir / "coco128" / "annotations" / "instances_train2017.json") as file:
        assert [p for p in find_problems(json.load(file)) if "bbox" in p.text] == []


CENTRE = [X + WIDTH / 2, Y + HEIGHT / 2, WIDTH, HEIGHT]


def test_boxes_alone_of_another_form_than_their_masks_bar_the_set():
    (first, *_) = found = find_contradictions(data(CENTRE, count=3))
    assert len(found) == 3 and all(problem.fatal for problem in found)
    assert "is the centre, width and height: write x, y, width, height" in first.text


def test_single_contradictions_are_told_and_bar_nothing():
    content = data([X, Y, WIDTH, HEIGHT], count=5)
    content["annotations"][2]["bbox"] = CENTRE
    (found,) = find_contradictions(content)
    assert found.record == "annotation 3" and not found.fatal


@pytest.mark.parametrize("segmentation", ["nonsense", None, [[1, 2]], rectangle("C")])
def test_masks_that_are_wrong_say_nothing_of_boxes(segmentation):
    content = data([X, Y, WIDTH, HEIGHT])
    content["annotations"][0]["segmentation"] = segmentation
    assert not [problem for problem in find_contradictions(content) if problem.fatal]


def test_a_set_of_boxes_alone_is_refused_or_remarked_on(tmp_path, caplog):
    content = data(CENTRE, count=3)
    for name in ("annotations", "own"):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / "own" / "a.jpg"), np.zeros((H, W, 3), np.uint8))
    path = tmp_path / "annotations" / "own.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="own.json: annotation 1: field 'bbox' .* is the centre, width and height"):
        COCO("own", str(tmp_path), masks=False)
    for annotation in content["annotations"][1:]:
        annotation["bbox"] = [X, Y, WIDTH, HEIGHT]
    path.write_text(json.dumps(content))
    assert len(COCO("own", str(tmp_path), masks=False).entries()[0].boxes) == 3
    assert "1 boxes are not those of their masks, and boxes are what is learned" in caplog.text
