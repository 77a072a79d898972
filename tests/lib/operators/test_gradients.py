"""Gradients inside MXNet graphs: finite differences, every request type, and many consumers of one tensor.

MXNet 1.9.1 drops the request type for extension operators, so that the last two can silently go wrong.
"""

from __future__ import annotations

from functools import partial
from typing import Callable, Dict, NamedTuple, Optional, Tuple

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.operators.assembling import assemble, assemble_dense
from fullconv.lib.operators.batch_norm import batch_moments, batch_normalize
from fullconv.lib.operators.channel_operator import group_max, group_pick, group_softmax
from fullconv.lib.operators.deformable_conv import deformable_conv
from fullconv.lib.operators.group_norm import group_norm
from fullconv.lib.operators.iou_loss import iou_loss
from fullconv.lib.operators.library import registered
from fullconv.lib.operators.psroi_pooling import psroi_pooling
from fullconv.lib.operators.sigmoid_focal_loss import sigmoid_focal_loss

SIZE = (4, 5)
SIZES = [(1, 1), (1, 6), (5, 3), (4, 5), (7, 2)]
WITHOUT_GRADIENT = {
    "fullconv_proposal",
    "fullconv_proposal_annotator",
    "fullconv_box_annotator_ohem",
    "fullconv_box_parser",
    "fullconv_fcos_target",
    "fullconv_fcis_head",
}
"""It is zero, or refused, as the tests of each say."""
STATEFUL = {"fullconv_batch_statistics"}
"""Changes inputs; `test_batch_norm.py` has its gradients."""
Arrays = Dict[str, np.ndarray]


class Case(NamedTuple):
    """An operator of inputs by name. arrays: makes them for a map of this size. learned: those that have a gradient."""

    symbol: Callable[..., mx.sym.Symbol]
    arrays: Callable[[np.random.RandomState, int, int], Arrays]
    learned: Tuple[str, ...] = ("x",)


def apart(random: np.random.RandomState, *shape: int) -> np.ndarray:
    """Numbers no two of which are close: a maximum must not change within a finite difference."""
    count = int(np.prod(shape))
    return (random.permutation(count) - count / 2).reshape(shape) * 8 / count


def pooled(random: np.random.RandomState, height: int, width: int) -> Arrays:
    """Rois in pixels of an image 4 times the map; the last one covers it."""
    ends = [np.sort(random.uniform(-3, 4 * size + 3, (2, 4)), axis=0) for size in (width, height)]
    corners = np.stack([ends[0][0], ends[1][0], ends[0][1], ends[1][1]], axis=1)
    corners[-1] = [0, 0, 4 * width - 1, 4 * height - 1]
    images = np.arange(4)[:, None] % 2
    return {"x": random.randn(2, 8, height, width), "aux": np.concatenate([images, corners], axis=1)}


def grouped(random: np.random.RandomState, height: int, width: int) -> Arrays:
    return {"x": apart(random, 2, 8, height, width)}


def label_picked(random: np.random.RandomState, height: int, width: int) -> Arrays:
    """The second sample's label is no group."""
    return {**grouped(random, height, width), "aux": np.array([random.randint(0, 4), 7])}


def score_picked(random: np.random.RandomState, height: int, width: int) -> Arrays:
    return {**grouped(random, height, width), "aux": random.rand(2, 4)}


def scored(random: np.random.RandomState, height: int, width: int) -> Arrays:
    return {"x": random.randn(2, 8, height, width)}


def labelled(random: np.random.RandomState, height: int, width: int) -> Arrays:
    return {**scored(random, height, width), "aux": random.randint(-1, 9, (2, height, width))}


def distances(random: np.random.RandomState, height: int, width: int) -> Arrays:
    """Predictions are never equal to their targets: there the slope jumps."""
    target = random.randint(1, 20, (2, height * width, 4)) / 2
    return {"x": target + random.choice([-0.25, 0.25, 0.4], target.shape), "aux": target}


def normalised(random: np.random.RandomState, height: int, width: int) -> Arrays:
    return {"x": random.randn(2, 8, height, width), "gamma": random.randn(8), "beta": random.randn(8)}


def measured(random: np.random.RandomState, height: int, width: int) -> Arrays:
    """With a mean and a variance of each channel."""
    found = normalised(random, height, width)
    return {"x": found.pop("x"), "statistics": np.stack([random.randn(8), 0.5 + random.rand(8)]), **found}


def deformed(
    random: np.random.RandomState, height: int, width: int, stride: Tuple[int, int], modulated: bool
) -> Arrays:
    """Offsets keep away from whole numbers, where the slope jumps."""
    out = [(side - 1) // step + 1 for side, step in zip((height, width), stride)]
    offset = random.randint(-2, 2, (2, 36, *out)) + random.uniform(0.2, 0.8, (2, 36, *out))
    found = {"x": random.randn(2, 4, height, width), "offset": offset, "weight": random.randn(6, 2, 3, 3)}
    return {**found, **({"mask": random.rand(2, 18, *out)} if modulated else {}), "bias": random.randn(6)}


def deformable(stride: Tuple[int, int], modulated: bool) -> Case:
    options = {"num_filter": 6, "pad": (1, 1), "stride": stride, "num_group": 2, "num_deformable_group": 2}

    def symbol(x: mx.sym.Symbol, **others: mx.sym.Symbol) -> mx.sym.Symbol:
        return deformable_conv(x, **others, **options)

    learned = ("x", "offset", "weight", *(["mask"] if modulated else []), "bias")
    return Case(symbol, partial(deformed, stride=stride, modulated=modulated), learned)


def mapped(random: np.random.RandomState, height: int, width: int) -> Arrays:
    return {"x": random.randn(2, 4, height, width)}


def windowed(random: np.random.RandomState, height: int, width: int) -> Arrays:
    """Windows that overlap, hang over the borders, or are padding."""
    centres = [random.randint(0, height, 5), random.randint(0, width, 5)]
    return {**mapped(random, height, width), "aux": np.stack([[0, 1, 0, 0, -1], *centres], axis=1)}


CASES = {
    "assemble": Case(lambda x, aux: assemble(x, aux, 2, 3)[0], windowed),
    "assemble dense": Case(lambda x: assemble_dense(x, 2, 5, "floor")[0], mapped),
    "psroi_pooling": Case(lambda x, aux: psroi_pooling(x, aux, 0.25, 2, 3, 2), pooled),
    "ChannelOperator max": Case(lambda x: group_max(x, 4), grouped),
    "ChannelOperator label": Case(lambda x, aux: group_pick(x, aux, 4), label_picked),
    "ChannelOperator score": Case(lambda x, aux: group_pick(x, aux, 4, "Score_Pick"), score_picked),
    "ChannelOperator softmax": Case(lambda x: group_softmax(x, 4), scored),
    "sigmoid_focal_loss": Case(lambda x, aux: sigmoid_focal_loss(x, aux), labelled),
    **{
        f"iou_loss {kind}": Case(lambda x, aux, kind=kind: iou_loss(x, aux, mx.sym.sum(aux, axis=2), kind), distances)
        for kind in ("iou", "linear_iou", "giou")
    },
    "group_norm": Case(lambda x, **others: group_norm(x, 4, eps=0.1, **others), normalised, ("x", "gamma", "beta")),
    "batch_moments": Case(lambda x: batch_moments(x), scored),
    "batch_normalize": Case(
        lambda x, **others: batch_normalize(x, **others, eps=0.1), measured, ("x", "statistics", "gamma", "beta")
    ),
    "deformable_conv": deformable((1, 1), False),
    "deformable_conv modulated": deformable((1, 1), True),
    "deformable_conv strided": deformable((2, 3), True),
}


def test_every_operator_is_here() -> None:
    here = {name.split()[0] for name in CASES}
    assert {
        name.rsplit("_contrib_")[-1].replace("fullconv_", "")
        for name in set(registered()) - WITHOUT_GRADIENT - STATEFUL
    } == here
    assert set(registered()) >= WITHOUT_GRADIENT


def inputs(case: Case, seed: int = 3, size: Tuple[int, int] = SIZE) -> Arrays:
    return case.arrays(np.random.RandomState(seed), *size)


def variables(case: Case, through: Callable[[mx.sym.Symbol], mx.sym.Symbol] = lambda x: x) -> Dict[str, mx.sym.Symbol]:
    return {name: through(mx.sym.Variable(name)) for name in inputs(case)}


def bound(symbol: mx.sym.Symbol, arrays: Arrays, req: Dict[str, str]) -> mx.executor.Executor:
    executor = symbol.simple_bind(mx.cpu(), grad_req=req, **{name: array.shape for name, array in arrays.items()})
    for name, array in arrays.items():
        executor.arg_dict[name][:] = array
    return executor


def heads(executor: mx.executor.Executor) -> np.ndarray:
    return np.random.RandomState(5).uniform(-1, 1, executor.outputs[0].shape).astype(np.float32)


def gradients(
    symbol: mx.sym.Symbol, case: Case, req: str = "write", times: int = 1, arrays: Optional[Arrays] = None
) -> Dict[str, Optional[np.ndarray]]:
    """Of the learned inputs, after `times` passes, for the head gradient `heads`."""
    arrays = inputs(case) if arrays is None else arrays
    executor = bound(symbol, arrays, {name: req if name in case.learned else "null" for name in arrays})
    for _ in range(times):
        executor.forward(is_train=True)
        executor.backward(mx.nd.array(heads(executor)))
    found = {name: executor.grad_dict[name] for name in case.learned}
    return {name: None if array is None else array.asnumpy() for name, array in found.items()}


def slope(executor: mx.executor.Executor, name: str, direction: np.ndarray, step: float) -> float:
    """Of the output, weighted by `heads`, along a direction of one input. By four differences, so that a step may be so
    large that float32 does not matter: their error is of the step's fourth power."""
    at, weights = executor.arg_dict[name].asnumpy(), heads(executor).astype(np.float64)
    found = 0.0
    for distance, factor in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
        executor.arg_dict[name][:] = at + distance * step * direction
        found += factor * float((executor.forward(is_train=True)[0].asnumpy() * weights).sum())
    executor.arg_dict[name][:] = at
    return found / (12 * step)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", CASES)
def test_finite_differences(name: str, seed: int) -> None:
    """Up to 60 numbers of every input that has a gradient, on a map of another size for every seed."""
    case = CASES[name]
    arrays = {key: array.astype(np.float32) for key, array in inputs(case, seed, SIZES[seed]).items()}
    symbol = case.symbol(**variables(case))
    found = gradients(symbol, case, arrays=arrays)
    executor = bound(symbol, arrays, dict.fromkeys(arrays, "null"))
    executor.forward(is_train=True)
    for key in case.learned:
        directions = np.eye(arrays[key].size).reshape(-1, *arrays[key].shape)
        chosen = np.random.RandomState(seed).permutation(len(directions))[:60]
        expected = [slope(executor, key, directions[k], 0.01) for k in chosen]
        np.testing.assert_allclose(found[key].ravel()[chosen], expected, rtol=1e-3, atol=1e-4, err_msg=key)


@pytest.mark.parametrize("name", CASES)
def test_grad_req(name: str) -> None:
    """Directly on variables, where only the identity that `invoke` puts in keeps 'add' right."""
    case = CASES[name]
    symbol = case.symbol(**variables(case))
    once, twice, added, none = (
        gradients(symbol, case, req, times) for req, times in (("write", 1), ("write", 2), ("add", 2), ("null", 1))
    )
    for key in case.learned:
        assert np.abs(once[key]).sum() > 0
        np.testing.assert_array_equal(twice[key], once[key])
        np.testing.assert_allclose(added[key], 2 * once[key], rtol=1e-5, atol=1e-6)
        assert none[key] is None


@pytest.mark.parametrize("name", [name for name in CASES if "aux" in inputs(CASES[name])])
def test_no_gradient_to_the_other_input(name: str) -> None:
    case = CASES[name]
    # The losses' weights follow from the targets in these graphs, which is not the operator's gradient.
    symbol = case.symbol(mx.sym.Variable("x"), mx.sym.Variable("aux"))
    if name.startswith("iou_loss"):
        symbol = iou_loss(mx.sym.Variable("x"), mx.sym.Variable("aux"), mx.sym.ones((2, 20)), name.split()[1])
    executor = bound(symbol, inputs(case), {"x": "write", "aux": "write"})
    executor.forward(is_train=True)
    executor.backward(mx.nd.array(heads(executor)))
    np.testing.assert_array_equal(executor.grad_dict["aux"].asnumpy(), 0)


@pytest.mark.parametrize("fan_out", [1, 2, 8, 12])
@pytest.mark.parametrize("inner", [False, True], ids=["variables", "inner tensors"])
@pytest.mark.parametrize("name", CASES)
def test_fan_out(name: str, inner: bool, fan_out: int) -> None:
    case = CASES[name]
    shared = variables(case, (lambda x: x * 1) if inner else (lambda x: x))
    branches = [case.symbol(**shared) * (i + 1) for i in range(fan_out)]
    once, found = gradients(case.symbol(**variables(case)), case), gradients(mx.sym.add_n(*branches), case)
    for key in case.learned:
        expected = once[key] * sum(range(1, fan_out + 1))
        atol = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(found[key], expected, rtol=1e-4, atol=atol, err_msg=key)


@pytest.mark.parametrize("name", CASES)
def test_one_among_builtin_consumers(name: str) -> None:
    case = CASES[name]
    inner = {**variables(case), "x": mx.sym.Variable("x") * 1}
    others = sum((mx.sym.sum(inner["x"] * i) for i in range(1, 10)), mx.sym.sum(case.symbol(**inner)))
    alone = mx.sym.sum(case.symbol(**variables(case)))
    found, expected = (gradients(symbol, case)["x"] for symbol in (others, alone))
    weight = np.random.RandomState(5).uniform(-1, 1, 1).astype(np.float32)
    np.testing.assert_allclose(found, expected + 45 * weight, rtol=1e-4, atol=1e-5)


def test_autograd_add() -> None:
    x = mx.nd.array(inputs(CASES["ChannelOperator max"])["x"])
    x.attach_grad(grad_req="add")
    for _ in range(2):
        with mx.autograd.record():
            y = group_max(x, 4)
        y.backward()
    assert x.grad.asnumpy().sum() == 2 * y.size
