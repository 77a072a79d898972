"""Group max, pick and softmax against numpy, through the C interface."""

from __future__ import annotations

from typing import Callable, NamedTuple

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

F = np.float32
SETTINGS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
LABELS = st.one_of(st.integers(-3, 9).map(float), st.sampled_from([np.nan, np.inf, -np.inf, 1e30, -0.5, 2.7]))


class Case(NamedTuple):
    data: np.ndarray  # (N, groups, depth, area)
    grad: np.ndarray  # random numbers of the same shape
    labels: np.ndarray
    scores: np.ndarray

    @property
    def sizes(self) -> tuple:
        return self.data.shape


@st.composite
def cases(draw: st.DrawFn) -> Case:
    n, groups, depth, area = (draw(st.integers(1, high)) for high in (4, 6, 4, 9))
    random = np.random.RandomState(draw(st.integers(0, 10000)))
    data = random.randn(n, groups, depth, area)
    if draw(st.booleans()):
        data = data.round()  # ties
    grad, scores = random.randn(n, groups, depth, area), random.randint(0, 4, (n, groups))
    labels = np.array([draw(LABELS) for _ in range(n)], F)
    return Case(data.astype(F), grad.astype(F), labels, scores.astype(F))


def empty(*shape: int) -> np.ndarray:
    return np.full(shape, np.nan, F)


@SETTINGS
@given(case=cases())
def test_group_max(case: Case, c_call: Callable) -> None:
    n, groups, depth, area = case.sizes
    out, grad_in = empty(n, groups, area), empty(*case.sizes)
    head = np.ascontiguousarray(case.grad[:, :, 0])
    c_call("fullconv_group_max_fwd_cpu", case.data, out, *case.sizes)
    c_call("fullconv_group_max_bwd_cpu", head, case.data, grad_in, *case.sizes)
    first = case.data.argmax(2)[:, :, None] == np.arange(depth)[:, None]
    np.testing.assert_array_equal(out, case.data.max(2))
    np.testing.assert_array_equal(grad_in, np.where(first, head[:, :, None], F(0)))


def picked(case: Case, by_score: bool) -> np.ndarray:
    """(N, groups) bool: the picked group of each sample."""
    groups = case.data.shape[1]
    if by_score:
        best = 1 + case.scores[:, 1:].argmax(1) if groups > 1 else np.full(len(case.scores), -1)
    else:
        best = [int(x) if np.isfinite(x) and -1 < x < groups else -1 for x in case.labels]
    return np.asarray(best)[:, None] == np.arange(groups)


@SETTINGS
@given(case=cases(), by_score=st.booleans())
def test_group_pick(case: Case, by_score: bool, c_call: Callable) -> None:
    n, groups, depth, area = case.sizes
    pick = case.scores if by_score else case.labels
    out, grad_in = empty(n, depth, area), empty(*case.sizes)
    head = np.ascontiguousarray(case.grad[:, 0])
    c_call("fullconv_group_pick_fwd_cpu", case.data, pick, out, *case.sizes, by_score)
    c_call("fullconv_group_pick_bwd_cpu", head, pick, grad_in, *case.sizes, by_score)
    mine = picked(case, by_score)[:, :, None, None]
    np.testing.assert_array_equal(out, np.where(mine, case.data, F(0)).sum(1))
    np.testing.assert_array_equal(grad_in, np.where(mine, head[:, None], F(0)))


@SETTINGS
@given(case=cases())
def test_group_softmax(case: Case, c_call: Callable) -> None:
    out, grad_in = empty(*case.sizes), empty(*case.sizes)
    c_call("fullconv_group_softmax_fwd_cpu", case.data, out, *case.sizes)
    c_call("fullconv_group_softmax_bwd_cpu", case.grad, out, grad_in, *case.sizes)
    power = np.exp(case.data.astype(float) - case.data.max(2, keepdims=True))
    expected = power / power.sum(2, keepdims=True)
    np.testing.assert_allclose(out, expected, rtol=0, atol=3e-7)
    dot = (case.grad * expected).sum(2, keepdims=True)
    np.testing.assert_allclose(grad_in, expected * (case.grad - dot), rtol=0, atol=3e-6)


def test_group_max_of_nothing_comparable(c_call: Callable) -> None:
    """NaN never wins; a group of NaN is -FLT_MAX and passes no gradient on."""
    data = np.array([np.nan, 1, np.nan, np.nan], F).reshape(1, 2, 2, 1)
    out, grad_in = empty(1, 2, 1), empty(1, 2, 2, 1)
    c_call("fullconv_group_max_fwd_cpu", data, out, *data.shape)
    c_call("fullconv_group_max_bwd_cpu", np.ones((1, 2, 1), F), data, grad_in, *data.shape)
    np.testing.assert_array_equal(out.ravel(), [1, -np.finfo(F).max])
    np.testing.assert_array_equal(grad_in.ravel(), [0, 1, 0, 0])


def test_no_samples(c_call: Callable) -> None:
    nothing = np.zeros(1, F)
    c_call("fullconv_group_max_fwd_cpu", nothing, nothing, 0, 3, 2, 4)
    c_call("fullconv_group_pick_fwd_cpu", nothing, nothing, nothing, 0, 3, 2, 4, 0)
    c_call("fullconv_group_softmax_fwd_cpu", nothing, nothing, 0, 3, 2, 4)
