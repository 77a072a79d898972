"""Mask voting through the C interface: the phases of the CUDA version, run on the CPU, against the CPU's own way."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.mask_voting import make_rois
from fullconv.lib.mask.voting import mask_voting

SETTINGS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
COORDINATES = st.one_of(
    st.integers(-10, 150).map(lambda v: v / 2), st.sampled_from([np.nan, np.inf, -np.inf, float(2**99), -float(2**99)])
)
THRESHOLDS = tuple(map(ctypes.c_double, (0.3, 0.5, 0.4)))


def call(c_call, c_scratch, entry, rois, most, width, height, capacity):
    masks, boxes, scores = rois
    n, classes, size = len(boxes), scores.shape[1], masks.shape[-1]
    outputs = [np.full(shape, -7, np.float32) for shape in ((capacity, 6), (capacity, size, size), (1,))]
    sizes = (n, classes, size, most, width, height, capacity)
    scratch = c_scratch("fullconv_mask_voting_workspace", n, classes, most, capacity)
    c_call(entry, masks, boxes, scores, *outputs, *sizes, *THRESHOLDS, scratch)
    return outputs


def both(c_call, c_scratch, rois, most, width, height, capacity):
    """Results of the CPU's own way, after checking that the phases give the same to the last bit."""
    found = call(c_call, c_scratch, "fullconv_mask_voting_fwd_cpu", rois, most, width, height, capacity)
    phases = call(c_call, c_scratch, "fullconv_mask_voting_phases_cpu", rois, most, width, height, capacity)
    for a, b in zip(found, phases):
        np.testing.assert_array_equal(a, b)
    return found


@pytest.mark.parametrize("n, classes, size, most", [(1, 2, 21, 10), (60, 5, 21, 20), (130, 3, 14, 100), (40, 4, 70, 5)])
def test_phases_equal_cpu(c_call, c_scratch, n, classes, size, most):
    for seed in range(3):
        rois = make_rois(n, classes, 90, 170, objects=4, size=size, seed=seed)
        dets, _, count = both(c_call, c_scratch, rois, most, 170, 90, most + 16)
        boxes = mask_voting(*rois, classes, most, 170, 90, rule="gpu")[0]
        np.testing.assert_array_equal(dets[dets[:, 0] > 0, 1:], np.concatenate(boxes))
        assert count[0] >= sum(map(len, boxes))


@SETTINGS
@given(arrays(np.float32, st.tuples(st.integers(1, 12), st.just(4)), elements=COORDINATES), st.integers(0, 99))
def test_any_boxes(c_call, c_scratch, boxes, seed):
    rng = np.random.RandomState(seed)
    masks = rng.uniform(0, 1, (len(boxes), 1, 7, 7)).astype(np.float32)
    scores = rng.uniform(0, 1, (len(boxes), 3)).astype(np.float32)
    masks[rng.rand(*masks.shape) < 0.02] = np.nan
    scores[rng.rand(*scores.shape) < 0.1] = np.nan
    dets, _, _ = both(c_call, c_scratch, (masks, boxes, scores), 10, 65, 40, 12)
    found = dets[dets[:, 0] > 0]
    assert np.isfinite(dets).all() and (dets[dets[:, 0] <= 0, 1:] == 0).all()
    assert (found[:, 3] > found[:, 1]).all() and (found[:, 3] < 65).all() and (found[:, 4] < 40).all()


def test_too_little_capacity_is_told(c_call, c_scratch):
    rois = make_rois(60, 5, 90, 170, objects=4)
    dets, masks, count = both(c_call, c_scratch, rois, 20, 170, 90, 50)
    few_dets, few_masks, few_count = both(c_call, c_scratch, rois, 20, 170, 90, 3)
    assert few_count == count > 3
    np.testing.assert_array_equal(few_dets, dets[:3])
    np.testing.assert_array_equal(few_masks, masks[:3])
