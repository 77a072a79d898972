"""The sigmoid focal loss: its C interface against numpy in float64, and its registration."""

from __future__ import annotations

import ctypes
from typing import Any, Callable, NamedTuple, Tuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

F = np.float32
SETTINGS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


class Case(NamedTuple):
    logits: np.ndarray  # (N, C, area)
    labels: np.ndarray  # (N, area)
    alpha: float = 0.25
    gamma: float = 2.0


def draw_case(shape: Tuple[int, int, int], seed: int, spread: float = 3.0, **options: float) -> Case:
    random = np.random.RandomState(seed)
    labels = random.randint(-1, shape[1] + 1, (shape[0], shape[2]))
    return Case((spread * random.randn(*shape)).astype(F), labels.astype(F), **options)


def heads(case: Case) -> np.ndarray:
    return np.random.RandomState(7).randn(*case.logits.shape).astype(F)


def numpy_loss(case: Case) -> np.ndarray:
    x, labels = case.logits.astype(np.float64), case.labels[:, None]
    own = labels == np.arange(1, x.shape[1] + 1)[:, None]
    log_p, log_rest = -np.logaddexp(0, -x), -np.logaddexp(0, x)
    positive = -case.alpha * np.exp(case.gamma * log_rest) * np.maximum(log_p, np.log(np.finfo(F).tiny))
    negative = -(1 - case.alpha) * np.exp(case.gamma * log_p) * log_rest
    return np.where(labels >= 0, np.where(own, positive, negative), 0)


@pytest.fixture()
def run(c_call: Callable) -> Callable[..., Tuple[np.ndarray, np.ndarray]]:
    """`run(case)`: loss, and gradient for `heads(case)` or another head gradient."""

    def call(case: Case, grad: Any = None) -> Tuple[np.ndarray, np.ndarray]:
        loss, grad_logits = np.full_like(case.logits, np.nan), np.full_like(case.logits, np.nan)
        sizes = (*case.logits.shape, ctypes.c_double(case.alpha), ctypes.c_double(case.gamma))
        c_call("fullconv_sigmoid_focal_loss_fwd_cpu", case.logits, case.labels, loss, *sizes)
        grad = heads(case) if grad is None else grad
        c_call("fullconv_sigmoid_focal_loss_bwd_cpu", grad, case.logits, case.labels, grad_logits, *sizes)
        return loss, grad_logits

    return call


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("shape, spread", [((1, 1, 1), 1), ((3, 4, 1), 3), ((2, 80, 77), 3), ((2, 5, 33), 40)])
def test_equals_numpy(shape: tuple, spread: float, gamma: float, run: Callable) -> None:
    case = draw_case(shape, 1, spread, gamma=gamma, alpha=0.4)
    np.testing.assert_allclose(run(case)[0], numpy_loss(case), rtol=1e-5, atol=1e-37)


@SETTINGS
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 40)),
    st.sampled_from([0.0, 0.1, 1.0, 5.0, 100.0]),
    st.floats(0, 1),
    st.floats(0, 5),
)
def test_drawn_cases(run: Callable, seed: int, shape: tuple, spread: float, alpha: float, gamma: float) -> None:
    case = draw_case(shape, seed, spread, alpha=alpha, gamma=gamma)
    expected = numpy_loss(case)
    np.testing.assert_allclose(run(case)[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 1.5, 2.0])
@pytest.mark.parametrize("seed", range(5))
def test_finite_differences(seed: int, gamma: float, run: Callable) -> None:
    """The gradient against central differences of the float64 loss, which is element by element."""
    case = draw_case((2, 4, 9), seed, gamma=gamma)
    ends = [numpy_loss(case._replace(logits=case.logits.astype(float) + step)) for step in (1e-4, -1e-4)]
    slope = (ends[0] - ends[1]) / 2e-4 * heads(case)
    np.testing.assert_allclose(run(case)[1], slope, rtol=1e-3, atol=1e-7)


def test_ignored_places_are_not_looked_at(run: Callable) -> None:
    case = draw_case((2, 3, 20), 2)
    ignored = np.broadcast_to((case.labels < 0)[:, None], case.logits.shape)
    case.logits[ignored] = np.nan
    case.labels[0, 0] = np.nan
    loss, grad = run(case)
    assert ignored.any() and np.isfinite(loss).all() and np.isfinite(grad).all()
    assert not loss[ignored].any() and not grad[ignored].any() and not loss[0, :, 0].any()


def test_background_is_negative_for_every_class(run: Callable) -> None:
    case = Case(np.zeros((1, 3, 2), F), np.array([[0, 2]], F))
    loss, grad = run(case, np.ones((1, 3, 2), F))
    np.testing.assert_allclose(loss[0, :, 0], 0.75 * 0.25 * np.log(2), rtol=1e-6)
    np.testing.assert_allclose(loss[0, :, 1], np.array([0.75, 0.25, 0.75]) * 0.25 * np.log(2), rtol=1e-6)
    np.testing.assert_array_equal(np.sign(grad[0]), [[1, 1], [1, -1], [1, 1]])


@pytest.mark.parametrize("value", [1e4, -1e4, 3e38, -3e38])
def test_enormous_scores(value: float, run: Callable) -> None:
    """Where sigmoid is 0 or 1 the wrong side costs as much as the score, the right side nothing."""
    case = Case(np.full((1, 2, 1), value, F), np.ones((1, 1), F))
    loss, grad = run(case, np.ones((1, 2, 1), F))
    positive, negative = (0.0, 0.75 * F(value)) if value > 0 else (0.25 * -np.log(np.finfo(F).tiny), 0.0)
    np.testing.assert_allclose(loss.ravel(), [positive, negative], rtol=1e-6)
    assert np.isfinite(grad).all()


def test_batch_equals_singles(run: Callable) -> None:
    case = draw_case((3, 5, 21), 3)
    loss, grad = run(case)
    for i in range(3):
        part = slice(i, i + 1)
        alone = run(case._replace(logits=case.logits[part], labels=case.labels[part]), heads(case)[part])
        np.testing.assert_array_equal(alone[0], loss[part])
        np.testing.assert_array_equal(alone[1], grad[part])


def test_registered_operator(host: Any, run: Callable) -> None:
    case = draw_case((2, 3, 20), 4, gamma=1.0)
    inputs = [case.logits.reshape(2, 3, 4, 5), case.labels.reshape(2, 4, 5)]
    options = {"gamma": 1.0}
    (loss,) = host.call("fullconv_sigmoid_focal_loss", inputs, options)
    np.testing.assert_array_equal(loss.reshape(case.logits.shape), run(case)[0])
    grad, labels_grad = host.call("fullconv_sigmoid_focal_loss", inputs, options, backward=True)
    ones = np.ones_like(case.logits)
    np.testing.assert_array_equal(grad.reshape(case.logits.shape), run(case, ones)[1])
    assert not labels_grad.any()


@pytest.mark.parametrize(
    "shapes, attributes, message",
    [
        (((2, 3, 4), (2, 3)), {}, r"input labels has shape \(2,3\), expected \(2,4\)"),
        (((4,), (4,)), {}, r"input logits has shape \(4\), expected \(N,C,...\)"),
        (((2, 3), (2,)), {"alpha": 1.5}, "attribute alpha='1.5' must be between 0 and 1"),
        (((2, 3), (2,)), {"gamma": -1}, "attribute gamma='-1' must not be below 0"),
        (((2, 3), (2,)), {"gama": 1}, "unknown attribute gama='1'; it has: alpha, gamma"),
    ],
)
def test_errors_name_operator_and_value(host: Any, shapes: tuple, attributes: dict, message: str) -> None:
    with pytest.raises(Exception, match="fullconv_sigmoid_focal_loss: " + message):
        host.call("fullconv_sigmoid_focal_loss", [np.zeros(shape, F) for shape in shapes], attributes)
