"""mAP^r against the original's evaluation of a recorded set: every class, both thresholds, curve by curve."""

from __future__ import annotations

import numpy as np
import pytest

from fullconv.lib.evaluation.sds_mapr import evaluate_sds, sds_curves
from fullconv.lib.evaluation.voc_ap import voc_ap
from fullconv.lib.mask.instance_map import instance_masks, mask_boxes
from fullconv.lib.structures.detections import Detections
from fullconv.lib.structures.entry import ArrayMasks, Entry


def ground_truth(case):
    for name, instances, labels in zip(case["names"], case["inst"], case["cls"]):
        masks = instance_masks(instances)
        classes = [int(np.unique(labels[m])[0]) for m in masks]
        yield Entry(str(name), str(name), *instances.shape, mask_boxes(masks), classes, ArrayMasks(masks))


def detections(case):
    """The recorded rows per image, class by class, and the class numbers that have rows."""
    recorded = sorted(int(key[4:]) for key in case if key.startswith("det_"))
    found = [[] for _ in case["names"]]
    for c in recorded:
        rows = case[f"det_{c}"]
        assert (np.diff(rows[:, 0]) >= 0).all(), "rows are stored image by image"
        for i, of_image in enumerate(found):
            mine = rows[:, 0] == i
            boxes, scores = rows[mine, 1:5], rows[mine, 5]
            of_image.append(Detections(boxes, scores, np.full(len(boxes), c), case[f"detmask_{c}"][mine]))
    return [Detections.concatenate(parts) for parts in found], recorded


def thresholds(case):
    return sorted({float(key.split("_")[2]) for key in case if key.startswith("ap_") and key.count("_") == 2})


def test_every_curve_is_the_originals(fcis_reference):
    case = fcis_reference("voc_sds_eval")
    found, recorded = detections(case)
    marks, cut = thresholds(case), float(case["args"][1])
    curves = sds_curves(ground_truth(case), list(case["classes"]), found, cut, marks)
    assert recorded and marks
    for c in recorded:
        for i, mark in enumerate(marks):
            np.testing.assert_array_equal(curves[c][i].recall, case[f"rec_{c}_{mark:g}"])
            np.testing.assert_array_equal(curves[c][i].precision, case[f"prec_{c}_{mark:g}"])
            assert curves[c][i].ap == pytest.approx(float(case[f"ap_{c}_{mark:g}"]), abs=1e-12)


def test_means_count_absent_classes_as_zero(fcis_reference):
    case = fcis_reference("voc_sds_eval")
    found, recorded = detections(case)
    classes, marks = list(case["classes"]), thresholds(case)
    result = evaluate_sds(ground_truth(case), classes, found, float(case["args"][1]), marks)
    present = {c for image in ground_truth(case) for c in image.classes.tolist()}
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
