"""Muon against its papers."""

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.core.optimizer import Adam, Muon
from fullconv.lib.core.optimizer.muon import NEWTON_SCHULZ, orthogonalised


def polynomial_of_singular_values(x):
    """The five steps as the paper has them, on the singular values alone, in float64."""
    left, values, right = np.linalg.svd(np.float64(x), full_matrices=False)
    values = values / np.sqrt((values**2).sum())
    a, b, c = NEWTON_SCHULZ
    for _ in range(5):
        values = a * values + b * values**3 + c * values**5
    return (left * values) @ right


@pytest.mark.parametrize("shape", [(5, 5), (6, 40), (40, 6), (1, 7), (7, 1)])
@pytest.mark.parametrize("size", [1e-25, 1.0, 1e25])
def test_orthogonalised_is_the_papers_iteration(shape, size):
    x = np.float32(size * np.random.RandomState(3).randn(*shape))
    (ours,) = orthogonalised([x])
    np.testing.assert_allclose(ours, polynomial_of_singular_values(x), rtol=1e-3, atol=1e-4)
    values = np.linalg.svd(ours, compute_uv=False)
    assert 0.6 < values.min() <= values.max() < 1.25


def test_orthogonalised_takes_several_at_once_and_leaves_zero():
    rng = np.random.RandomState(4)
    matrices = [np.float32(rng.randn(*shape)) for shape in ((3, 8), (8, 3), (4, 4), (3, 5))] + [np.zeros((3, 8), "f")]
    together = orthogonalised(matrices)
    for x, ours in zip(matrices, together):
        np.testing.assert_allclose(ours, orthogonalised([x])[0], atol=1e-6)
    assert not together[-1].any()


def test_muon_steps_along_the_orthogonalised_momentum_and_leaves_vectors_to_adam():
    rng = np.random.RandomState(5)
    shapes = {"a_weight": (4, 3, 2, 2), "b_weight": (6, 2), "a_bias": (4,)}
    values = {name: rng.randn(*shape).astype("float32") for name, shape in shapes.items()}
    ours = {name: mx.nd.array(value) for name, value in values.items()}
    vector = {"a_bias": mx.nd.array(values["a_bias"])}
    muon = Muon(ours, 0.9, 0.01, {"b_weight": 3.0}, rescale_grad=0.5)
    adam = Adam(vector, 0.9, 0.01, {}, rescale_grad=0.5)
    assert set(muon.states) == {"a_weight", "b_weight", "a_bias", "a_bias:variance"}
    momentum = dict.fromkeys(("a_weight", "b_weight"), 0)
    for number in range(1, 5):
        grads = {name: rng.randn(*shape).astype("float32") for name, shape in shapes.items()}
        arrays = {name: mx.nd.array(grad) for name, grad in grads.items()}
        muon.update(ours, arrays, 0.1, number)
        adam.update(vector, arrays, 0.1, number)
        for name in momentum:
            grad, rate = 0.5 * grads[name], 0.1 * (3 if name == "b_weight" else 1)
            momentum[name] = 0.9 * momentum[name] + grad
            step = polynomial_of_singular_values((grad + 0.9 * momentum[name]).reshape(len(grad), -1))
            length = 0.2 * np.sqrt(max(step.shape))
            values[name] = (1 - 0.01 * rate) * values[name] - rate * length * step.reshape(grad.shape)
    for name in momentum:
        np.testing.assert_allclose(ours[name].asnumpy(), values[name], rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(ours["a_bias"].asnumpy(), vector["a_bias"].asnumpy())


def test_channels_that_died_leave_no_numbers_below_full_precision():
    """Products of such numbers take a processor a hundred times as long: trainings grew ever slower."""
    x = np.random.RandomState(0).randn(6, 20).astype(np.float32)
    x[3] *= np.float32(1e-22)
    (found,) = orthogonalised([x])
    others = [row for row in range(6) if row != 3]
    np.testing.assert_allclose(found[others], orthogonalised([x[others]])[0], atol=1e-5)
    assert not found[3].any()
