"""mAP^r against the original's evaluation of a recorded set: every class, both thresholds, curve by curve."""

from __future__ import annotations

import numpy as np
import pytest

from fullconv.lib.evaluation.sds_mapr import evaluate_sds, sds_curves
from fullconv.lib.evaluation.voc_ap import voc_ap


def ground_truth(case):
    for instances, labels in zip(case["inst"], case["cls"]):
        ids = [i for i in np.unique(instances) if i not in (0, 255)]
        masks = np.array([instances == i for i in ids], dtype=bool).reshape(-1, *instances.shape)
        yield {"masks": masks, "classes": [int(np.unique(labels[m])[0]) for m in masks]}


def detections(case):
    """all_boxes, all_masks with the recorded rows, and the class numbers that have rows."""
    recorded = sorted(int(key[4:]) for key in case if key.startswith("det_"))
    num_images, size = len(case["names"]), case[f"detmask_{recorded[0]}"].shape[-1]
    shape = (len(case["classes"]), num_images)
    boxes = [[np.zeros((0, 5)) for _ in range(shape[1])] for _ in range(shape[0])]
    masks = [[np.zeros((0, size, size), np.float32) for _ in range(shape[1])] for _ in range(shape[0])]
    for c in recorded:
        rows = case[f"det_{c}"]
        assert (np.diff(rows[:, 0]) >= 0).all(), "rows are stored image by image"
        for i in range(num_images):
            boxes[c][i] = rows[rows[:, 0] == i, 1:]
            masks[c][i] = case[f"detmask_{c}"][rows[:, 0] == i]
    return boxes, masks, recorded


def thresholds(case):
    return sorted({float(key.split("_")[2]) for key in case if key.startswith("ap_") and key.count("_") == 2})


def test_every_curve_is_the_originals(fcis_reference):
    case = fcis_reference("voc_sds_eval")
    boxes, masks, recorded = detections(case)
    marks, cut = thresholds(case), float(case["args"][1])
    curves = sds_curves(ground_truth(case), list(case["classes"]), boxes, masks, cut, marks)
    assert recorded and marks
    for c in recorded:
        for i, mark in enumerate(marks):
            np.testing.assert_array_equal(curves[c][i].recall, case[f"rec_{c}_{mark:g}"])
            np.testing.assert_array_equal(curves[c][i].precision, case[f"prec_{c}_{mark:g}"])
            assert curves[c][i].ap == pytest.approx(float(case[f"ap_{c}_{mark:g}"]), abs=1e-12)


def test_means_count_absent_classes_as_zero(fcis_reference):
    case = fcis_reference("voc_sds_eval")
    boxes, masks, recorded = detections(case)
    classes, marks = list(case["classes"]), thresholds(case)
    result = evaluate_sds(ground_truth(case), classes, boxes, masks, float(case["args"][1]), marks)
    present = {c for image in ground_truth(case) for c in image["classes"]}
    assert result["classes with objects"] == len(present)
    for mark in marks:
        total = sum(float(case[f"ap_{c}_{mark:g}"]) for c in recorded)
        assert result[f"mAP^r@{mark:g}"] == pytest.approx(total / (len(classes) - 1), abs=1e-12)
        occurring = result[f"mAP^r@{mark:g} (classes with objects)"]
        assert occurring == pytest.approx(total / len(present), abs=1e-12)


def test_voc_ap_of_a_recorded_curve(fcis_reference):
    case = fcis_reference("voc_sds_eval")
    recall, precision = case["ap_rec"], case["ap_prec"]
    assert voc_ap(recall, precision, True) == pytest.approx(float(case["ap07"]), abs=1e-12)
    assert voc_ap(recall, precision, False) == pytest.approx(float(case["ap12"]), abs=1e-12)
