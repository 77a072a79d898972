"""IoU losses: their C interface against numpy in float64 on boxes with corners, and their registration."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Tuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

F = np.float32
MODES = ("iou", "linear_iou", "giou")
SETTINGS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


class Case(NamedTuple):
    pred: np.ndarray  # (rows, 4)
    target: np.ndarray
    weight: np.ndarray  # (rows,)


def draw_case(rows: int, seed: int, scale: float = 10.0) -> Case:
    random = np.random.RandomState(seed)
    numbers = (scale * random.rand(rows, 4), scale * (0.1 + random.rand(rows, 4)), 0.1 + random.rand(rows))
    return Case(*(x.astype(F) for x in numbers))


def heads(case: Case) -> np.ndarray:
    return np.random.RandomState(7).randn(len(case.weight)).astype(F)


def numpy_loss(case: Case, mode: str) -> np.ndarray:
    """From corners: the location is the origin."""

    def area(x1: Any, y1: Any, x2: Any, y2: Any) -> Any:
        return (x2 - x1) * (y2 - y1)

    a, b = (array.astype(np.float64).T * [[-1], [-1], [1], [1]] for array in (case.pred, case.target))
    shared = area(*np.maximum(a[:2], b[:2]), *np.minimum(a[2:], b[2:]))
    hull = area(*np.minimum(a[:2], b[:2]), *np.maximum(a[2:], b[2:])) + 1e-7
    joined = area(*a) + area(*b) - shared
    iou = (shared + 1) / (joined + 1)
    losses = {"iou": -np.log(iou), "linear_iou": 1 - iou, "giou": 1 - iou + (hull - joined) / hull}
    return losses[mode] * case.weight


@pytest.fixture()
def run(c_call: Callable) -> Callable[..., Tuple[np.ndarray, np.ndarray]]:
    """`run(case, mode)`: loss, and gradient for `heads(case)` or another head gradient."""

    def call(case: Case, mode: str, grad: Any = None) -> Tuple[np.ndarray, np.ndarray]:
        loss, grad_pred = np.full_like(case.weight, np.nan), np.full_like(case.pred, np.nan)
        sizes = len(case.weight), MODES.index(mode)
        c_call("fullconv_iou_loss_fwd_cpu", *case, loss, *sizes)
        c_call("fullconv_iou_loss_bwd_cpu", heads(case) if grad is None else grad, *case, grad_pred, *sizes)
        return loss, grad_pred

    return call


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rows, scale", [(1, 10), (50, 0.01), (2000, 10), (50, 1000)])
def test_equals_numpy(rows: int, scale: float, mode: str, run: Callable) -> None:
    case = draw_case(rows, 1, scale)
    np.testing.assert_allclose(run(case, mode)[0], numpy_loss(case, mode), rtol=1e-6, atol=1e-9)


@SETTINGS
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([0.001, 0.1, 1, 30, 500]), st.sampled_from(MODES))
def test_drawn_cases(run: Callable, seed: int, rows: int, scale: float, mode: str) -> None:
    """Some predictions reach over all of their target, some are points; some rows have no weight."""
    case, random = draw_case(rows, seed, scale), np.random.RandomState(seed)
    case.pred[random.rand(rows) < 0.1] = 0
    case.pred[random.rand(rows) < 0.1] *= 100
    case.weight[random.rand(rows) < 0.2] = 0
    np.testing.assert_allclose(run(case, mode)[0], numpy_loss(case, mode), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(5))
def test_finite_differences(seed: int, mode: str, run: Callable) -> None:
    case = draw_case(12, seed)
    found = run(case, mode)[1]
    for side in range(4):
        ends = []
        for step in (1e-5, -1e-5):
            moved = case.pred.astype(np.float64)
            moved[:, side] += step
            ends.append(numpy_loss(case._replace(pred=moved), mode))
        slope = (ends[0] - ends[1]) / 2e-5 * heads(case)
        np.testing.assert_allclose(found[:, side], slope, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_perfect_fit_has_half_of_both_slopes(mode: str, run: Callable) -> None:
    case = draw_case(1, 3)
    case = case._replace(pred=case.target.copy())
    loss, grad = run(case, mode, np.ones(1, F))
    np.testing.assert_allclose(loss, 0, atol=1e-7)
    sides = []
    for step in (1e-3, -1e-3):
        moved = case.target.astype(np.float64) + step * np.eye(4)
        near = Case(moved, *(np.repeat(x, 4, axis=0) for x in case[1:]))
        sides.append((numpy_loss(near, mode) - 0) / step)
    np.testing.assert_allclose(grad[0], (sides[0] + sides[1]) / 2, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_rows_without_weight_are_not_looked_at(mode: str, run: Callable) -> None:
    case = draw_case(8, 4)
    for array in case[:2]:
        array[1::2] = [np.nan, np.inf, -5, 0]
    case.weight[1::2] = 0
    loss, grad = run(case, mode)
    assert np.isfinite(loss).all() and np.isfinite(grad).all() and loss[::2].all()
    assert not loss[1::2].any() and not grad[1::2].any()


@pytest.mark.parametrize("mode", MODES)
def test_points(mode: str, run: Callable) -> None:
    """Boxes without area: the smoothing keeps everything finite."""
    case = Case(np.zeros((2, 4), F), np.array([[0, 0, 0, 0], [1, 2, 3, 4]], F), np.ones(2, F))
    loss, grad = run(case, mode)
    assert np.isfinite(loss).all() and np.isfinite(grad).all()


@pytest.mark.parametrize("mode", MODES)
def test_batch_equals_singles(mode: str, run: Callable) -> None:
    case = draw_case(5, 5)
    loss, grad = run(case, mode)
    for i in range(5):
        alone = run(Case(*(x[i : i + 1] for x in case)), mode, heads(case)[i : i + 1])
        np.testing.assert_array_equal(alone[0], loss[i : i + 1])
        np.testing.assert_array_equal(alone[1], grad[i : i + 1])


@pytest.mark.parametrize("mode", MODES)
def test_registered_operator(host: Any, run: Callable, mode: str) -> None:
    case = draw_case(6, 6)
    inputs = [case.pred.reshape(2, 3, 4), case.target.reshape(2, 3, 4), case.weight.reshape(2, 3)]
    (loss,) = host.call("fullconv_iou_loss", inputs, {"loss_type": mode})
    np.testing.assert_array_equal(loss, run(case, mode)[0].reshape(2, 3))
    grads = host.call("fullconv_iou_loss", inputs, {"loss_type": mode}, backward=True)
    np.testing.assert_array_equal(grads[0], run(case, mode, np.ones(6, F))[1].reshape(2, 3, 4))
    assert not grads[1].any() and not grads[2].any()


@pytest.mark.parametrize(
    "shapes, attributes, message",
    [
        (((5, 4), (5, 4), (4,)), {}, r"input weight has shape \(4\), expected \(5\)"),
        (((5, 4), (4, 4), (5,)), {}, r"input target has shape \(4,4\), expected \(5,4\)"),
        (((5, 3), (5, 3), (5,)), {}, r"input pred has shape \(5,3\), expected \(...,4\)"),
        (((5, 4), (5, 4), (5,)), {"loss_type": "diou"}, "loss_type='diou' is none of iou, linear_iou, giou"),
        (((5, 4), (5, 4), (5,)), {"mode": "iou"}, "unknown attribute mode='iou'; it has: loss_type"),
    ],
)
def test_errors_name_operator_and_value(host: Any, shapes: tuple, attributes: dict, message: str) -> None:
    with pytest.raises(Exception, match="fullconv_iou_loss: .*" + message):
        host.call("fullconv_iou_loss", [np.ones(shape, F) for shape in shapes], attributes)
