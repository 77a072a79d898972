"""The three steps of batch normalisation: numbers, gradients by finite differences, states, and errors."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet.test_utils import check_numeric_gradient

from fullconv.lib.operators.batch_norm import batch_moments, batch_normalize, batch_statistics

SHAPES = [(3, 2, 4, 5), (2, 2), (1, 2, 7), (5, 2, 1, 1)]


def parts_of(data: np.ndarray) -> np.ndarray:
    return batch_moments(mx.nd.array(data)).asnumpy()


@pytest.mark.parametrize("shape", SHAPES)
def test_moments(shape: tuple) -> None:
    data = np.random.RandomState(0).randn(*shape).astype("f4") + 100
    axes = tuple(axis for axis in range(len(shape)) if axis != 1)
    exact = data.astype(np.float64)
    expected = [np.full(2, data.size / 2), exact.mean(axes), exact.var(axes)]
    np.testing.assert_allclose(parts_of(data)[0], expected, rtol=1e-5, atol=1e-7)


def test_parts_weigh_as_much_as_they_have_numbers() -> None:
    rng = np.random.RandomState(1)
    pieces = [rng.randn(n, 2, 3, w).astype("f4") * w + n for n, w in ((1, 4), (3, 2), (2, 5))]
    parts = mx.nd.array(np.concatenate([parts_of(piece) for piece in pieces]))
    mean, variance = mx.nd.array([1, 2]), mx.nd.array([3, 4])
    found = batch_statistics(parts, mean, variance, momentum=0.75).asnumpy()
    numbers = np.concatenate([piece.transpose(1, 0, 2, 3).reshape(2, -1) for piece in pieces], axis=1)
    np.testing.assert_allclose(found, [numbers.mean(1), numbers.var(1)], rtol=1e-5)
    np.testing.assert_allclose(mean.asnumpy(), 0.75 * np.array([1, 2]) + 0.25 * numbers.mean(1), rtol=1e-5)
    np.testing.assert_allclose(variance.asnumpy(), 0.75 * np.array([3, 4]) + 0.25 * numbers.var(1, ddof=1), rtol=1e-5)


def test_a_single_number_has_variance_0() -> None:
    variance = mx.nd.ones(2)
    found = batch_statistics(mx.nd.array(parts_of(np.ones((1, 2, 1, 1)))), mx.nd.ones(2), variance, momentum=0.5)
    assert found.asnumpy().tolist() == [[1, 1], [0, 0]] and variance.asnumpy().tolist() == [0.5, 0.5]


@pytest.mark.parametrize("shape", SHAPES)
def test_normalised(shape: tuple) -> None:
    rng = np.random.RandomState(2)
    data, statistics = rng.randn(*shape), rng.rand(2, 2) + 0.1
    gamma, beta = rng.rand(2), rng.rand(2)
    found = batch_normalize(*map(mx.nd.array, (data, statistics, gamma, beta)), eps=0.01).asnumpy()
    per_channel = (1, 2) + (1,) * (len(shape) - 2)
    mean, variance, gamma, beta = (x.reshape(per_channel) for x in (*statistics, gamma, beta))
    np.testing.assert_allclose(found, (data - mean) / np.sqrt(variance + 0.01) * gamma + beta, rtol=1e-4, atol=1e-5)


CASES = {
    "moments": (batch_moments(mx.sym.Variable("a")), {"a": (3, 2, 4, 3)}),
    "normalize": (
        batch_normalize(*(mx.sym.Variable(name) for name in "absc")),
        {"a": (3, 2, 2, 3), "b": (2, 2), "s": (2,), "c": (2,)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_finite_differences(name: str) -> None:
    symbol, shapes = CASES[name]
    rng = np.random.RandomState(3)
    check_numeric_gradient(
        symbol, {key: rng.rand(*shape) + 0.5 for key, shape in shapes.items()}, numeric_eps=1e-2, rtol=2e-2, atol=1e-2
    )


def test_finite_differences_of_joined_parts() -> None:
    symbol = batch_statistics(mx.sym.Variable("parts"), mx.sym.Variable("mean"), mx.sym.Variable("var"), name="s")
    assert symbol.list_auxiliary_states() == ["mean", "var"] and symbol.list_arguments() == ["parts"]
    rng = np.random.RandomState(4)
    parts = rng.rand(3, 3, 2).astype("f4") + 0.5
    weights = rng.randn(2, 2).astype("f4")
    executor = symbol.simple_bind(mx.cpu(), parts=parts.shape, mean=(2,), var=(2,))

    def value(at: np.ndarray) -> float:
        return float((executor.forward(is_train=True, parts=mx.nd.array(at))[0].asnumpy() * weights).sum())

    value(parts)
    executor.backward(mx.nd.array(weights))
    gradient = executor.grad_dict["parts"].asnumpy()
    assert not gradient[:, 0].any()  # how many numbers a part has is not learned
    for place in np.ndindex(3, 3, 2):
        if place[1] == 0:
            continue
        step = np.zeros_like(parts)
        step[place] = 1e-2
        assert gradient[place] == pytest.approx((value(parts + step) - value(parts - step)) / 2e-2, rel=1e-2, abs=1e-3)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: batch_moments(mx.nd.ones(3)), r"data has shape \(3\), expected \(N,C,\.\.\.\)"),
        (lambda: batch_statistics(mx.nd.ones((1, 2, 3)), mx.nd.ones(3), mx.nd.ones(3)), r"parts has shape \(1,2,3\)"),
        (
            lambda: batch_statistics(mx.nd.ones((1, 3, 3)), mx.nd.ones(3), mx.nd.ones(3), momentum=2.0),
            "momentum='2.0' must be between 0 and 1",
        ),
        (
            lambda: batch_normalize(mx.nd.ones((1, 3, 2)), mx.nd.ones((2, 2)), mx.nd.ones(3), mx.nd.ones(3)),
            r"statistics has shape \(2,2\), expected \(2,3\)",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, message: str) -> None:
    with pytest.raises(mx.MXNetError, match=message):
        call().asnumpy()
