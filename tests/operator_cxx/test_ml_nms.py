"""Multi-label suppression: both forms of it in C, and the function in lib/nms, against numpy."""

from __future__ import annotations

import ctypes
from typing import Callable, Tuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fullconv.lib.nms.ml_nms import ml_nms

F = np.float32
SETTINGS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
Inputs = Tuple[np.ndarray, np.ndarray, np.ndarray]


def draw(n: int, labels: int, seed: int, scores: int = 1000) -> Inputs:
    """Whole numbers, few of them: equal scores and equal overlaps abound."""
    random = np.random.RandomState(seed)
    low, extent = random.randint(0, 60, (n, 2)), random.randint(1, 30, (n, 2))
    boxes = np.concatenate([low, low + extent], 1).astype(F)
    return boxes, (random.randint(1, scores, n) / scores).astype(F), random.randint(1, labels + 1, n).astype(F)


def one_by_one(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, threshold: float) -> np.ndarray:
    """Each box, best first, drops those behind it; all in float32."""
    order = list(np.argsort(-scores, kind="stable"))
    area = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    keep = []
    while order:
        best, rest = order[0], np.array(order[1:], np.int64)
        keep.append(best)
        sides = np.minimum(boxes[best, 2:], boxes[rest, 2:]) - np.maximum(boxes[best, :2], boxes[rest, :2]) + 1
        shared = np.maximum(sides, 0).prod(1)
        overlaps = shared / (area[best] + area[rest] - shared) > F(threshold)
        order = list(rest[~(overlaps & (labels[rest] == labels[best]))])
    return np.sort(np.array(keep, np.int64))


@pytest.fixture(params=["fullconv_ml_nms_cpu", "fullconv_ml_nms_in_matrix"])
def run(request: pytest.FixtureRequest, c_call: Callable, c_scratch: Callable) -> Callable[..., np.ndarray]:
    def call(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, threshold: float) -> np.ndarray:
        keep = np.full(len(boxes), np.nan, F)
        scratch = c_scratch("fullconv_ml_nms_workspace", len(boxes))
        c_call(request.param, boxes, scores, labels, keep, len(boxes), ctypes.c_double(threshold), scratch)
        assert np.isin(keep, [0, 1]).all()
        return np.flatnonzero(keep)

    return call


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("n, labels, scores", [(1, 1, 9), (63, 3, 9), (65, 80, 1000), (700, 5, 1000), (300, 1, 4)])
def test_equals_numpy(n: int, labels: int, scores: int, threshold: float, run: Callable) -> None:
    inputs = draw(n, labels, n, scores)
    expected = one_by_one(*inputs, threshold)
    np.testing.assert_array_equal(run(*inputs, threshold), expected)
    np.testing.assert_array_equal(ml_nms(*inputs, threshold), expected)


@SETTINGS
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 130), st.integers(1, 4), st.sampled_from([2, 9, 1000]), st.floats(0, 1)
)
def test_drawn_cases(run: Callable, seed: int, n: int, labels: int, scores: int, threshold: float) -> None:
    inputs = draw(n, labels, seed, scores)
    np.testing.assert_array_equal(run(*inputs, threshold), one_by_one(*inputs, threshold))


def test_first_of_equal_scores_stays(run: Callable) -> None:
    boxes = np.repeat(np.array([[0, 0, 9, 9]], F), 4, 0)
    scores, labels = np.array([0.5, 0.5, 0.5, 0.5], F), np.array([2, 1, 2, 1], F)
    np.testing.assert_array_equal(run(boxes, scores, labels, 0.5), [0, 1])


def test_overlap_at_the_threshold_stays(run: Callable) -> None:
    """10 x 10 and 10 x 6 pixels: IoU 0.6 in float32, not above the threshold's float32."""
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 5]], F)
    scores, labels = np.array([0.9, 0.8], F), np.ones(2, F)
    np.testing.assert_array_equal(run(boxes, scores, labels, 0.6), [0, 1])
    np.testing.assert_array_equal(run(boxes, scores, labels, 0.59), [0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_senseless_numbers(value: float, run: Callable) -> None:
    """Nothing out of bounds; a label of NaN is like no other."""
    for which in range(3):
        inputs = draw(70, 2, which)
        inputs[which][::3] = value
        found = run(*inputs, 0.5)
        assert len(found) == len(set(found)) and 0 < len(found) <= 70


def test_no_boxes() -> None:
    found = ml_nms(np.zeros((0, 4)), np.zeros(0), np.zeros(0), 0.5)
    assert found.shape == (0,) and found.dtype == np.int64


@pytest.mark.parametrize(
    "shapes, message",
    [
        (((3, 5), (3,), (3,)), r"ml_nms needs boxes of shape \(3, 4\), got \(3, 5\)"),
        (((3, 4), (2,), (3,)), r"ml_nms needs boxes of shape \(2, 4\), got \(3, 4\)"),
        (((3, 4), (3,), (3, 1)), r"ml_nms needs labels of shape \(3,\), got \(3, 1\)"),
    ],
)
def test_bad_shapes(shapes: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ml_nms(*map(np.zeros, shapes), 0.5)
