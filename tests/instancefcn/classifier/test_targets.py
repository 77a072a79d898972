"""instancefcn.classifier: which proposals are trained on and what they are, scores to detections."""

from __future__ import annotations

import numpy as np

from fullconv.instancefcn.classifier.loader import code_boxes
from fullconv.instancefcn.classifier.targets import SamplingSpec, box_targets, choose, crop_mask, match
from fullconv.instancefcn.classifier.tester import ResultSpec, Sample, detections
from fullconv.lib.bbox.transform import decode_boxes
from fullconv.lib.mask.encode import encode_mask


def rectangle(x1, y1, x2, y2, size=(40, 60)):
    mask = np.zeros(size, bool)
    mask[y1 : y2 + 1, x1 : x2 + 1] = True
    return mask


def test_a_proposal_is_of_the_class_of_the_object_that_its_box_and_mask_cover():
    objects = [rectangle(0, 0, 19, 19), rectangle(30, 10, 49, 29)]
    thin = rectangle(30, 10, 49, 11) | rectangle(30, 28, 49, 29)  # the second one's box, little of its mask
    masks = [rectangle(1, 1, 19, 19), thin, rectangle(30, 10, 39, 19), rectangle(55, 35, 59, 39)]
    codes, gt_codes = [encode_mask(mask) for mask in masks], [encode_mask(mask) for mask in objects]
    found = match(code_boxes(codes), codes, code_boxes(gt_codes), gt_codes, np.array([3, 5]))
    np.testing.assert_array_equal(found.labels, [3, 5, 0, 0])
    np.testing.assert_array_equal(found.seg_labels, [3, 0, 0, 0])
    np.testing.assert_allclose(found.overlaps, [361 / 400, 1, 0.25, 0])
    moved = decode_boxes(code_boxes(codes)[:3], found.corrections[:3])
    np.testing.assert_allclose(moved, code_boxes(gt_codes)[[0, 1, 1]], atol=1e-9)
    nothing = match(code_boxes(codes), codes, np.zeros((0, 4)), [], np.zeros(0, int))
    assert not nothing.labels.any() and not nothing.overlaps.any()


def test_shares_are_kept_and_filled_up():
    overlaps = np.concatenate([np.full(50, 0.7), np.full(50, 0.3), np.full(50, 0.02)])
    chosen = choose(overlaps, SamplingSpec(20), np.random.RandomState(0))
    assert len(set(chosen.tolist())) == 20
    assert [int((overlaps[chosen] == kind).sum()) for kind in (0.7, 0.3, 0.02)] == [6, 10, 4]
    scarce = choose(overlaps[48:], SamplingSpec(20), np.random.RandomState(0))
    assert len(set(scarce.tolist())) == 20
    assert len(choose(overlaps[:5], SamplingSpec(20), np.random.RandomState(0))) == 5
    assert len(choose(overlaps[:0], SamplingSpec(20), np.random.RandomState(0))) == 0


def test_box_targets_stand_at_their_class():
    targets, weights = box_targets(np.array([0, 2]), np.array([[1.0] * 4, [1, 2, 3, 4]]), 3, (0.1, 0.1, 0.2, 0.2))
    assert not targets[0].any() and not weights[0].any()
    np.testing.assert_allclose(targets[1, 8:], [10, 20, 15, 20])
    np.testing.assert_array_equal(weights[1], [0] * 8 + [1] * 4)


def test_masks_of_any_size_become_shares_of_cells():
    assert (crop_mask(np.ones((1, 1), bool), 14) == 1).all()
    half = np.zeros((50, 31), bool)
    half[:25] = True
    cells = crop_mask(half, 14)
    np.testing.assert_allclose([cells.mean(), cells[:7].mean()], [0.5, 1], atol=1e-5)


def sample():
    boxes = np.array([[0, 0, 19, 19], [1, 1, 19, 19], [30, 10, 49, 29]], float)
    return Sample((), (40, 60), boxes, np.ones((3, 28, 28), np.float32))


def test_suppressed_within_a_class_or_voted():
    scores = np.array([[0.1, 0.9, 0.0], [0.2, 0.8, 0.0], [0.1, 0.0, 0.9]], np.float32)
    plain = detections(sample(), scores, ResultSpec(voting=""))
    np.testing.assert_array_equal(plain.labels, [1, 2])
    np.testing.assert_array_equal(plain.boxes, sample().boxes[[0, 2]])
    voted = detections(sample(), scores, ResultSpec(voting="gpu"))
    np.testing.assert_array_equal(voted.best_first().labels[:2], [1, 2])
    assert voted.masks.shape[1:] == (28, 28)
    empty = Sample((), (40, 60), np.zeros((0, 4)), np.zeros((0, 28, 28), np.float32))
    assert len(detections(empty, np.zeros((0, 3), np.float32), ResultSpec())) == 0
