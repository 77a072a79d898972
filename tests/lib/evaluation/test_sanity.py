"""Every cause of an "AP 0" that users met has its sentence."""

from __future__ import annotations

import numpy as np
import pytest

from fullconv.lib.evaluation.sanity import (
    EvaluationError,
    check_categories,
    check_image_ids,
    check_results,
    explain_low_ap,
)

CLASSES = ["__background__", "cat", "dog"]
SIZES = [(100, 200), (120, 80)]


def results(box=(10, 20, 50, 60, 0.9), mask_value=1.0):
    boxes = [[np.array([box], dtype=np.float64) for _ in SIZES] for _ in CLASSES]
    masks = [[np.full((1, 21, 21), mask_value) for _ in SIZES] for _ in CLASSES]
    return boxes, masks


def test_good_results_pass_without_a_word():
    boxes, masks = results()
    assert check_results(CLASSES, 2, boxes, masks, SIZES) == []
    boxes[0] = masks[0] = [[], []]  # nobody looks at background
    assert check_results(CLASSES, 2, boxes, masks, SIZES) == []


@pytest.mark.parametrize(
    "box, mask_value, message",
    [
        ((10, 20, 400, 60, 0.9), 1.0, "resized network input"),
        ((50, 60, 30, 20, 0.9), 1.0, "width, height"),
        ((10, 20, 50, 60, 0.9), 0.3, "binary threshold 0.4"),
    ],
)
def test_suspicious_results_warn(box, mask_value, message):
    boxes, masks = results(box, mask_value)
    warnings = check_results(CLASSES, 2, boxes, masks, SIZES)
    assert len(warnings) == 1 and message in warnings[0]


def test_no_detections_warn():
    empty = [[np.zeros((0, 5))] * 2] * 3
    assert "not a single detection" in check_results(CLASSES, 2, empty, empty, SIZES)[0]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none(value):
    boxes, masks = results()
    boxes[2][1][0, 3] = value
    with pytest.raises(EvaluationError, match="'dog', image b: box 0"):
        check_results(CLASSES, 2, boxes, masks, SIZES, image_ids=["a", "b"])
    boxes, masks = results()
    masks[1][0][0, 3, 3] = value
    with pytest.raises(EvaluationError, match="'cat', image 0: masks are not finite"):
        check_results(CLASSES, 2, boxes, masks, SIZES)


def test_layouts():
    boxes, masks = results()
    with pytest.raises(EvaluationError, match="of 3 classes, but the data set has 21"):
        check_results(["x"] * 21, 2, boxes, masks)
    with pytest.raises(EvaluationError, match="cover 2 images, but the data set has 5.*--ignore_cache"):
        check_results(CLASSES, 5, boxes, masks)
    with pytest.raises(EvaluationError, match=r"expected \(m, 5\)"):
        check_results(CLASSES, 2, [[b[:, :4] for b in row] for row in boxes], masks)
    with pytest.raises(EvaluationError, match=r"expected \(1, M, M\)"):
        check_results(CLASSES, 2, boxes, [[np.zeros((2, 21, 21))] * 2] * 3)


def test_image_ids():
    check_image_ids([1, 2], [1, 2, 3], "a.json")
    with pytest.raises(EvaluationError, match="1 of 2 image ids, e.g. 9, are not in a.json"):
        check_image_ids([1, 9], [1, 2, 3], "a.json")
    with pytest.raises(EvaluationError, match="ids are text on one side"):
        check_image_ids(["1"], [1, 2, 3], "a.json")
    with pytest.raises(EvaluationError, match="occur twice"):
        check_image_ids([1, 1], [1, 2, 3], "a.json")


def test_categories():
    known = [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}]
    check_categories([17, 18], CLASSES, known, "a.json")
    with pytest.raises(EvaluationError, match="category id 1 .*not in a.json"):
        check_categories([1, 2], CLASSES, known, "a.json")
    with pytest.raises(EvaluationError, match="'cat' in the results but 'dog' in a.json"):
        check_categories([18, 17], CLASSES, known, "a.json")
    with pytest.raises(EvaluationError, match="3 category ids for 2 classes"):
        check_categories([1, 2, 3], CLASSES, known, "a.json")


def test_causes_after_evaluation():
    boxes, _ = results()
    fitting = [np.array([[10.0, 20, 50, 60]])] * 2
    assert explain_low_ap(CLASSES, boxes, fitting, [[1], [2]]) == []
    only_cat = [boxes[0], boxes[1], [np.zeros((0, 5))] * 2]
    assert "order of classes differs" in explain_low_ap(CLASSES, only_cat, fitting, [[2], [2]])[0]
    elsewhere = [np.array([[60.0, 70, 90, 90]])] * 2
    assert "another frame" in explain_low_ap(CLASSES, boxes, elsewhere, [[1], [2]])[0]
    assert "no object at all" in explain_low_ap(CLASSES, boxes, [np.zeros((0, 4))] * 2, [[], []])[0]
    nothing = [[np.zeros((0, 5))] * 2] * 3
    assert "no image with objects has a detection" in explain_low_ap(CLASSES, nothing, fitting, [[1], [2]])[0]
