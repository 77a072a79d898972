"""Mask voting, mask averaging and mask overlap against `mask_voting.npz`: boxes exact, masks within 1e-5."""

import numpy as np
import pytest

from fullconv.lib.mask.transform import mask_aggregation, mask_overlap
from fullconv.lib.mask.voting import mask_voting

TOLERANCE = 1e-5


@pytest.fixture
def data(fcis_reference):
    return fcis_reference("mask_voting")


@pytest.mark.parametrize("rule", ["cpu", "gpu"])
def test_voting(data, rule):
    cases = [key[: -len("_args")] for key in data if key.endswith("_args")]
    assert cases
    for name in cases:
        args = data[f"{name}_args"]
        sizes, thresholds = (int(value) for value in args[:4]), args[4:]
        inputs = (data[f"{name}_{key}"] for key in ("masks", "boxes", "scores"))
        boxes, masks = mask_voting(*inputs, *sizes, *thresholds, rule=rule)
        for c in range(1, int(args[0])):
            message = f"{name} class {c}"
            np.testing.assert_array_equal(boxes[c], data[f"{name}_{rule}_box_{c}"], err_msg=message)
            expected = data[f"{name}_{rule}_mask_{c}"]
            assert masks[c].shape == expected.shape
            np.testing.assert_allclose(masks[c], expected, rtol=0, atol=TOLERANCE, err_msg=message)


def test_aggregation(data):
    masks = [data["agg_mask0"], data["agg_mask1"]]
    votes, box = mask_aggregation(data["agg_boxes"], masks, data["agg_weights"], 50, 40)
    np.testing.assert_array_equal(box, data["agg_out_box"])
    np.testing.assert_array_equal(votes, data["agg_out_mask"])


def test_aggregation_without_votes(data):
    masks = [np.zeros_like(data["agg_mask0"]), np.zeros_like(data["agg_mask1"])]
    votes, box = mask_aggregation(data["agg_boxes"], masks, data["agg_weights"], 51, 41)
    np.testing.assert_array_equal(box, data["agg_empty_out_box"])
    np.testing.assert_array_equal(votes, data["agg_empty_out_mask"])


def test_overlap(data):
    boxes, masks = (data["mo_box1"], data["mo_box2"]), (data["mo_mask1"], data["mo_mask2"])
    assert mask_overlap(*boxes, *masks) == data["mo_iou"]
    height, width = masks[1].shape
    moved = data["mo_box1"] + np.array([width, height] * 2) * 10
    assert mask_overlap(boxes[0], moved, masks[0], masks[0]) == data["mo_disjoint"]
