"""Group normalisation's C interface against numpy in float64, forward and backward."""

from __future__ import annotations

import ctypes
from typing import Any, Callable, Iterator, NamedTuple, Tuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

F = np.float32
SETTINGS = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


class Case(NamedTuple):
    data: np.ndarray  # (N, C, area)
    gamma: np.ndarray
    beta: np.ndarray
    groups: int
    eps: float = 1e-5
    relu: bool = False


class Results(NamedTuple):
    out: np.ndarray
    data: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray


def draw_case(shape: Tuple[int, int, int], groups: int, seed: int, offset: float = 0, **options: Any) -> Case:
    random = np.random.RandomState(seed)
    numbers = random.randn(*shape) + offset, random.randn(shape[1]), random.randn(shape[1])
    return Case(*(x.astype(F) for x in numbers), groups, **options)


def heads(case: Case) -> np.ndarray:
    return np.random.RandomState(7).randn(*case.data.shape).astype(F)


def normalised(case: Case) -> Tuple[np.ndarray, np.ndarray]:
    """Data with mean 0 and variance 1, and the deviation it was divided by; (N, groups, size) float64."""
    data = case.data.astype(np.float64).reshape(len(case.data), case.groups, -1)
    deviation = np.sqrt(data.var(2, keepdims=True) + case.eps)
    return (data - data.mean(2, keepdims=True)) / deviation, deviation


def numpy_forward(case: Case) -> np.ndarray:
    unit = normalised(case)[0].reshape(case.data.shape)
    out = unit * case.gamma[:, None] + case.beta[:, None]
    return np.maximum(out, 0) if case.relu else out


def numpy_backward(case: Case, grad: np.ndarray, out: np.ndarray) -> Results:
    """The ReLU is open where `out` is above zero, so that rounding there does not matter."""
    grad = np.where(out > 0, grad, 0.0) if case.relu else grad.astype(np.float64)
    unit, deviation = normalised(case)
    inner = (grad * case.gamma[:, None]).reshape(unit.shape)
    data = (inner - inner.mean(2, keepdims=True) - unit * (inner * unit).mean(2, keepdims=True)) / deviation
    gamma = (grad * unit.reshape(grad.shape)).sum((0, 2))
    return Results(out, data.reshape(grad.shape), gamma, grad.sum((0, 2)))


@pytest.fixture()
def run(c_call: Callable, c_scratch: Callable) -> Callable[..., Results]:
    """`run(case)`: output and gradients for the head gradient `heads(case)`, or another one."""

    def call(case: Case, grad: Any = None) -> Results:
        n, channels, area = case.data.shape
        found = Results(*(np.full(shape, np.nan, F) for shape in [case.data.shape] * 2 + [(channels,)] * 2))
        sizes = (n, channels, case.groups, area, ctypes.c_double(case.eps), int(case.relu))
        parameters = case.data, case.gamma, case.beta
        scratch = c_scratch("fullconv_group_norm_workspace", n, channels, case.groups)
        c_call("fullconv_group_norm_fwd_cpu", *parameters, found.out, *sizes, scratch)
        scratch[:] = 0xAB
        grad = heads(case) if grad is None else grad
        c_call("fullconv_group_norm_bwd_cpu", grad, *parameters, *found[1:], *sizes, scratch)
        return found

    return call


def check(found: Results, case: Case, grad: Any = None) -> None:
    """Within 1e-5 of the largest number; of the data's gradient before the mean is taken off, which may leave zero."""
    grad = heads(case) if grad is None else grad
    expected = numpy_backward(case, grad, found.out)._replace(out=numpy_forward(case))
    inner = (grad * case.gamma[:, None]).reshape(len(grad), case.groups, -1) / normalised(case)[1]
    scales = [np.abs(x).max() for x in (expected.out, inner, expected.gamma, expected.beta)]
    for name, a, b, scale in zip(Results._fields, found, expected, scales):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * max(1.0, scale), err_msg=name)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    groups, per_group = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    shape = draw(st.integers(1, 3)), groups * per_group, draw(st.integers(1, 70))
    offset = draw(st.sampled_from([0.0, 1.0, -30.0, 1e4]))
    options = {"eps": draw(st.sampled_from([1e-5, 1e-3, 1.0])), "relu": draw(st.booleans())}
    case = draw_case(shape, groups, draw(st.integers(0, 10000)), offset, **options)
    spread = F(draw(st.sampled_from([0.1, 1.0, 50.0])))
    return case._replace(data=(case.data * spread).astype(F))


@SETTINGS
@given(case=cases())
def test_drawn_cases(case: Case, run: Callable) -> None:
    check(run(case), case)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape, groups", [((1, 64, 5120), 8), ((1, 16, 20480), 1), ((2, 256, 320), 32)])
def test_training_sizes(shape: tuple, groups: int, relu: bool, run: Callable) -> None:
    case = draw_case(shape, groups, 1, relu=relu)
    check(run(case), case)


@pytest.mark.parametrize("offset", [1e4, -1e4, 1e6])
def test_large_mean(offset: float, run: Callable) -> None:
    case = draw_case((2, 8, 1000), 4, 2, offset)
    check(run(case), case)


def test_first_number_far_from_the_rest(run: Callable) -> None:
    """Zero padding in front of data with a large mean: the variance is taken around the first number."""
    case = draw_case((1, 4, 5000), 2, 3, 1e3)
    case.data[:, :, 0] = 0
    check(run(case), case)


def test_channels_of_one_group_with_different_means(run: Callable) -> None:
    case = draw_case((1, 6, 300), 2, 4)
    case.data[0] += np.array([0, 100, -1000, 5, 5, 5], F)[:, None]
    check(run(case), case)


@pytest.mark.parametrize("value", [0.0, 3.1, -1e4])
def test_constant_input(value: float, run: Callable) -> None:
    """Variance 0: the output is beta, to the last bit."""
    case = draw_case((2, 6, 33), 3, 5)
    case.data[:] = value
    found = run(case)
    np.testing.assert_array_equal(found.out, np.broadcast_to(case.beta[:, None], case.data.shape))
    np.testing.assert_array_equal(found.gamma, 0)
    assert np.isfinite(found.data).all()


def test_relu_is_closed_at_zero(run: Callable) -> None:
    case = Case(np.ones((1, 2, 5), F), np.ones(2, F), np.zeros(2, F), 1, relu=True)
    found = run(case)
    for array in found:
        np.testing.assert_array_equal(array, 0)


def test_instance_normalisation(run: Callable) -> None:
    """As many groups as channels: each channel is as it would be alone."""
    case = draw_case((2, 5, 40), 5, 6)
    found = run(case)
    for channel in range(5):
        part = slice(channel, channel + 1)
        alone = Case(case.data[:, part].copy(), case.gamma[part], case.beta[part], 1)
        single = run(alone, heads(case)[:, part].copy())
        np.testing.assert_array_equal(single.out, found.out[:, part])
        np.testing.assert_array_equal(single.data, found.data[:, part])


def test_batch_equals_singles(run: Callable) -> None:
    case = draw_case((3, 12, 77), 4, 8, relu=True)
    batch = run(case)
    singles = [run(case._replace(data=case.data[i : i + 1]), heads(case)[i : i + 1]) for i in range(3)]
    np.testing.assert_array_equal(np.concatenate([single.out for single in singles]), batch.out)
    np.testing.assert_array_equal(np.concatenate([single.data for single in singles]), batch.data)
    for name in ("gamma", "beta"):
        total = sum(getattr(single, name) for single in singles)
        np.testing.assert_allclose(total, getattr(batch, name), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_number_stays_in_its_group(bad: float, relu: bool, run: Callable) -> None:
    clean = draw_case((2, 6, 40), 3, 9, relu=relu)
    spoiled = clean._replace(data=clean.data.copy())
    spoiled.data[1, 2, 5] = bad  # second image, second group: channels 2 and 3
    a, b = run(clean), run(spoiled)
    assert np.isnan(b.out[1, 2:4]).sum() >= 40 and np.isnan(b.data[1, 2:4]).any()
    for name in ("out", "data"):
        expected, found = getattr(a, name).copy(), getattr(b, name).copy()
        expected[1, 2:4] = found[1, 2:4] = 0
        np.testing.assert_array_equal(found, expected)
    others = [0, 1, 4, 5]
    np.testing.assert_array_equal(b.gamma[others], a.gamma[others])


@pytest.mark.parametrize("seed", range(5))
def test_finite_differences(seed: int, run: Callable) -> None:
    """The gradient against central differences of the float64 forward pass."""
    case = draw_case((2, 4, 1 + 3 * seed), 2, seed, eps=1e-2)
    grad, found = heads(case), run(case)
    for name in ("data", "gamma", "beta"):
        array = getattr(case, name).astype(np.float64)
        for at in np.ndindex(array.shape):
            ends = []
            for step in (1e-4, -1e-4):
                moved = array.copy()
                moved[at] += step
                ends.append((numpy_forward(case._replace(**{name: moved})) * grad).sum())
            slope = (ends[0] - ends[1]) / 2e-4
            np.testing.assert_allclose(getattr(found, name)[at], slope, rtol=1e-3, atol=1e-4)


@pytest.fixture()
def threads() -> Iterator[Callable[[int], None]]:
    openmp = ctypes.CDLL("libgomp.so.1")
    before = openmp.omp_get_max_threads()
    yield openmp.omp_set_num_threads
    openmp.omp_set_num_threads(before)


@pytest.mark.parametrize("groups", [1, 4, 16])
def test_number_of_threads_does_not_matter(groups: int, run: Callable, threads: Callable) -> None:
    case = draw_case((1, 16, 40000), groups, 10, relu=True)
    threads(1)
    expected = run(case)
    for count in (2, 3, 5):
        threads(count)
        for a, b in zip(run(case), expected):
            np.testing.assert_array_equal(a, b)
