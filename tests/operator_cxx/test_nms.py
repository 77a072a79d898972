"""Suppression through the C interface, against the library's."""

from __future__ import annotations

import ctypes

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fullconv.lib.nms.nms import gpu_nms

SETTINGS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
VALUES = st.one_of(st.integers(-2, 15).map(float), st.sampled_from([np.nan, np.inf, -np.inf, float(2**99)]))
CORNERS = arrays(np.float32, st.tuples(st.integers(1, 70), st.just(4)), elements=VALUES)


def call(c_call, c_scratch, dets, threshold, max_keep):
    keep, count = np.full(max_keep, -7, np.float32), np.full(1, -7, np.float32)
    scratch = c_scratch("fullconv_nms_workspace", len(dets), max_keep)
    c_call("fullconv_nms_fwd_cpu", dets, keep, count, len(dets), max_keep, ctypes.c_double(threshold), scratch)
    return keep, int(count[0])


def check(keep, count, expected):
    assert count == len(expected)
    np.testing.assert_array_equal(keep[:count], expected)
    assert (keep[count:] == -1).all()


@SETTINGS
@given(CORNERS, st.integers(1, 80), st.sampled_from([0.1, 0.5, 0.7]))
def test_against_library(c_call, c_scratch, corners, max_keep, threshold):
    scores = np.random.RandomState(len(corners)).permutation(len(corners))[:, None]
    dets = np.hstack([corners, scores]).astype(np.float32)
    keep, count = call(c_call, c_scratch, dets, threshold, max_keep)
    with np.errstate(invalid="ignore"):
        check(keep, count, gpu_nms(dets, threshold, max_keep))


def test_later_of_equal_scores_comes_first(c_call, c_scratch):
    dets = np.array([[0, 0, 9, 9, 0.5]] * 3 + [[50, 50, 59, 59, 0.5]], np.float32)
    check(*call(c_call, c_scratch, dets, 0.5, 10), [3, 2])
