"""Gradients inside MXNet graphs: finite differences, every request type, and many consumers of one tensor.

MXNet 1.9.1 drops the request type for extension operators, so that the last two can silently go wrong.
"""

from __future__ import annotations

from typing import Callable, Dict, NamedTuple, Optional, Tuple

import mxnet as mx
import numpy as np
import pytest
from mxnet.test_utils import check_numeric_gradient

from fullconv.lib.operators.assembling import assemble, assemble_dense
from fullconv.lib.operators.channel_operator import group_max, group_pick, group_softmax
from fullconv.lib.operators.iou_loss import iou_loss
from fullconv.lib.operators.psroi_pooling import psroi_pooling
from fullconv.lib.operators.sigmoid_focal_loss import sigmoid_focal_loss

X, AUX = mx.sym.Variable("x"), mx.sym.Variable("aux")
SHAPE = (2, 8, 4, 5)
DISTANCES = (np.arange(80).reshape(2, 10, 4) * 37 % 80 + 0.5) / 20  # between the values of x
ROIS = np.array([[0, 0, 0, 3, 2], [1, 1, 1, 4, 3], [1, 3, 0, 2, 1]])


class Case(NamedTuple):
    symbol: Callable[[mx.sym.Symbol], mx.sym.Symbol]
    aux: Optional[np.ndarray]  # second input
    shape: Tuple[int, ...] = SHAPE


WINDOWS = np.array([[0, 1, 1], [1, 0, 4], [0, 2, 2], [-1, 1, 1]])

CASES = {
    "assemble": Case(lambda x: assemble(x, AUX, 2, 3)[0], WINDOWS, (2, 4, 4, 5)),
    "assemble_dense": Case(lambda x: assemble_dense(x, 2, 5, "floor")[0], None, (2, 4, 4, 5)),
    "psroi_pooling": Case(lambda x: psroi_pooling(x, AUX, 1.0, 2, 3, 2), ROIS),
    "group_max": Case(lambda x: group_max(x, 4), None),
    "label_pick": Case(lambda x: group_pick(x, AUX, 4), np.array([3, 1])),
    "score_pick": Case(lambda x: group_pick(x, AUX, 4, "Score_Pick"), np.arange(8).reshape(2, 4) % 3),
    "group_softmax": Case(lambda x: group_softmax(x, 4), None),
    "focal_loss": Case(lambda x: sigmoid_focal_loss(x, AUX), np.arange(40).reshape(2, 4, 5) % 10 - 1),
    **{
        loss: Case(lambda x, loss=loss: iou_loss(x, AUX, mx.sym.ones((2, 10)), loss), DISTANCES, (2, 10, 4))
        for loss in ("iou", "linear_iou", "giou")
    },
}


def inputs(case: Case) -> Dict[str, np.ndarray]:
    """Well separated values: a maximum must not change within a finite difference."""
    x = np.random.RandomState(3).permutation(np.prod(case.shape)).reshape(case.shape) * 8 / np.prod(case.shape)
    return {"x": x} if case.aux is None else {"x": x, "aux": case.aux}


def gradient(symbol: mx.sym.Symbol, case: Case, req: str = "write", times: int = 1) -> Optional[np.ndarray]:
    arrays = inputs(case)
    executor = symbol.simple_bind(
        mx.cpu(),
        grad_req={key: req if key == "x" else "null" for key in arrays},
        **{k: a.shape for k, a in arrays.items()},
    )
    for _ in range(times):
        out = executor.forward(is_train=True, **{key: mx.nd.array(a) for key, a in arrays.items()})[0]
        weights = np.random.RandomState(5).randn(*out.shape)
        executor.backward(mx.nd.array(weights))
    grad = executor.grad_dict["x"]
    return None if grad is None else grad.asnumpy()


@pytest.mark.parametrize("name", CASES)
def test_finite_differences(name: str) -> None:
    case = CASES[name]
    check_numeric_gradient(case.symbol(X), inputs(case), grad_nodes=["x"], numeric_eps=1e-2, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", CASES)
def test_grad_req(name: str) -> None:
    """Directly on a variable, where only the identity that `invoke` puts in keeps 'add' right."""
    case = CASES[name]
    once = gradient(case.symbol(X), case)
    assert np.abs(once).sum() > 0
    np.testing.assert_array_equal(gradient(case.symbol(X), case, times=2), once)
    np.testing.assert_allclose(gradient(case.symbol(X), case, "add", times=2), 2 * once, rtol=1e-6)
    assert gradient(case.symbol(X), case, "null") is None


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].aux is not None])
def test_no_gradient_to_the_other_input(name: str) -> None:
    case = CASES[name]
    shapes = {key: array.shape for key, array in inputs(case).items()}
    executor = case.symbol(X).simple_bind(mx.cpu(), grad_req="write", **shapes)
    out = executor.forward(is_train=True, **{key: mx.nd.array(a) for key, a in inputs(case).items()})[0]
    executor.backward(mx.nd.ones(out.shape))
    np.testing.assert_array_equal(executor.grad_dict["aux"].asnumpy(), 0)


@pytest.mark.parametrize("fan_out", [1, 2, 8, 12])
@pytest.mark.parametrize("inner", [False, True], ids=["variable", "inner tensor"])
@pytest.mark.parametrize("name", CASES)
def test_fan_out(name: str, inner: bool, fan_out: int) -> None:
    case = CASES[name]
    source = X * 1 if inner else X
    branches = [case.symbol(source) * (i + 1) for i in range(fan_out)]
    expected = gradient(case.symbol(X), case) * sum(range(1, fan_out + 1))
    np.testing.assert_allclose(gradient(mx.sym.add_n(*branches), case), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_one_among_builtin_consumers(name: str) -> None:
    case = CASES[name]
    source = X * 1
    others = sum((mx.sym.sum(source * i) for i in range(1, 10)), mx.sym.sum(case.symbol(source)))
    arrays = inputs(case)
    executor = others.simple_bind(mx.cpu(), grad_req="write", **{key: a.shape for key, a in arrays.items()})
    executor.forward(is_train=True, **{key: mx.nd.array(a) for key, a in arrays.items()})
    executor.backward(mx.nd.ones((1,)))
    alone = mx.sym.sum(case.symbol(X)).simple_bind(
        mx.cpu(), grad_req="write", **{k: a.shape for k, a in arrays.items()}
    )
    alone.forward(is_train=True, **{key: mx.nd.array(a) for key, a in arrays.items()})
    alone.backward(mx.nd.ones((1,)))
    expected = alone.grad_dict["x"].asnumpy() + 45
    np.testing.assert_allclose(executor.grad_dict["x"].asnumpy(), expected, rtol=1e-5)


def test_autograd_add() -> None:
    x = mx.nd.array(inputs(CASES["group_max"])["x"])
    x.attach_grad(grad_req="add")
    for _ in range(2):
        with mx.autograd.record():
            y = group_max(x, 4)
        y.backward()
    assert x.grad.asnumpy().sum() == 2 * y.size
