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
from fullconv.lib.structures.detections import Detections

CLASSES = ["__background__", "cat", "dog"]
SIZES = [(100, 200), (120, 80)]


def results(box=(10, 20, 50, 60), mask_value=1.0, score=0.9, labels=(1, 2)):
    """Two images with one detection of each class."""
    count = len(labels)
    boxes, masks = np.tile(np.array(box, np.float64), (count, 1)), np.full((count, 21, 21), mask_value)
    return [Detections(boxes.copy(), np.full(count, score), labels, masks.copy()) for _ in SIZES]


def test_good_results_pass_without_a_word():
    assert check_results(CLASSES, 2, results(), SIZES) == []
    boxes_only = [Detections(f.boxes, f.scores, f.labels) for f in results()]
    assert check_results(CLASSES, 2, boxes_only, SIZES, masks=False) == []


@pytest.mark.parametrize(
    "box, mask_value, message",
    [
        ((10, 20, 400, 60), 1.0, "resized network input"),
        ((50, 60, 30, 20), 1.0, "width, height"),
        ((10, 20, 50, 60), 0.3, "binary threshold 0.4"),
    ],
)
def test_suspicious_results_warn(box, mask_value, message):
    warnings = check_results(CLASSES, 2, results(box, mask_value), SIZES)
    assert len(warnings) == 1 and message in warnings[0]


def test_no_detections_warn():
    assert "not a single detection" in check_results(CLASSES, 2, [Detections.empty(21)] * 2, SIZES)[0]
    assert "not a single detection" in check_results(CLASSES, 2, [Detections.empty()] * 2, SIZES, masks=False)[0]
    assert "not a single detection" in check_results(CLASSES, 0, [])[0]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none(value):
    found = results()
    found[1].boxes[1, 3] = value
    with pytest.raises(EvaluationError, match="'dog', image b: box 1 is .*not finite"):
        check_results(CLASSES, 2, found, SIZES, image_ids=["a", "b"])
    with pytest.raises(EvaluationError, match="'cat', image 0: box 0 is .*not finite"):
        check_results(CLASSES, 2, results(score=value), SIZES)
    found = results()
    found[0].masks[0, 3, 3] = value
    with pytest.raises(EvaluationError, match="'cat', image 0: box 0: its mask is not finite"):
        check_results(CLASSES, 2, found, SIZES)
    assert check_results(CLASSES, 2, found, SIZES, masks=False) == []


def test_layouts():
    with pytest.raises(EvaluationError, match="image 0: results have class 3, but the data set has 3 classes"):
        check_results(CLASSES, 2, results(labels=(1, 3)))
    with pytest.raises(EvaluationError, match="cover 2 images, but the data set has 5.*--ignore_cache"):
        check_results(CLASSES, 5, results())
    with pytest.raises(EvaluationError, match="image 0: the results have boxes without masks"):
        check_results(CLASSES, 2, [Detections(f.boxes, f.scores, f.labels) for f in results()])


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
    found = results()
    fitting = [np.array([[10.0, 20, 50, 60]])] * 2
    assert explain_low_ap(CLASSES, found, fitting, [[1], [2]]) == []
    only_cat = [f.of_class(1) for f in found]
    assert "order of classes differs" in explain_low_ap(CLASSES, only_cat, fitting, [[2], [2]])[0]
    elsewhere = [np.array([[60.0, 70, 90, 90]])] * 2
    assert "another frame" in explain_low_ap(CLASSES, found, elsewhere, [[1], [2]])[0]
    assert "no object at all" in explain_low_ap(CLASSES, found, [np.zeros((0, 4))] * 2, [[], []])[0]
    nothing = [Detections.empty()] * 2
    assert "no image with objects has a detection" in explain_low_ap(CLASSES, nothing, fitting, [[1], [2]])[0]
