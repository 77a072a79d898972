"""Momentum SGD, Adam and Muon against their formulas and MXNet's optimizer, and the schedules' rules."""

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.core.optimizer import (
    NEWTON_SCHULZ,
    Adam,
    MomentumSGD,
    Muon,
    PolySchedule,
    WarmupMultiFactorSchedule,
    lr_multipliers,
    orthogonalised,
    wd_multipliers,
)


def test_matches_mxnets_optimizer_over_several_steps():
    rng = np.random.RandomState(0)
    names = [f"layer{i}_{kind}" for i in range(30) for kind in ("weight", "bias", "gamma", "beta")]
    values = {n: rng.randn(3, 2).astype("float32") for n in names}
    ours = {n: mx.nd.array(v) for n, v in values.items()}
    theirs = {n: mx.nd.array(v) for n, v in values.items()}
    sgd = MomentumSGD(ours, momentum=0.9, wd=0.01, lr_mults={"layer0_weight": 3.0})
    reference = mx.optimizer.SGD(learning_rate=0.1, momentum=0.9, wd=0.01, param_idx2name=dict(enumerate(names)))
    reference.set_lr_mult({"layer0_weight": 3.0})
    updater = mx.optimizer.get_updater(reference)
    for number in range(1, 5):
        grads = {n: mx.nd.array(rng.randn(3, 2)) for n in names}
        sgd.update(ours, grads, 0.1, number)
        for index, name in enumerate(names):
            updater(index, grads[name], theirs[name])
    for name in names:
        np.testing.assert_allclose(ours[name].asnumpy(), theirs[name].asnumpy(), rtol=1e-6, atol=1e-7)


def test_adam_is_algorithm_1_of_the_paper():
    rng = np.random.RandomState(2)
    values = {name: rng.randn(3, 2).astype("float32") for name in ("a_weight", "a_bias")}
    ours = {name: mx.nd.array(value) for name, value in values.items()}
    adam = Adam(ours, 0.9, 0.01, {"a_bias": 2.0}, rescale_grad=0.5)
    assert set(adam.states) == {"a_weight", "a_bias", "a_weight:variance", "a_bias:variance"}
    mean, square = ({name: np.zeros((3, 2)) for name in values} for _ in range(2))
    for number in range(1, 6):
        grads = {name: rng.randn(3, 2).astype("float32") for name in values}
        adam.update(ours, {name: mx.nd.array(grad) for name, grad in grads.items()}, 0.1, number)
        for name in values:
            grad = 0.5 * grads[name] + (0.01 * values[name] if name == "a_weight" else 0)
            mean[name] = 0.9 * mean[name] + 0.1 * grad
            square[name] = 0.999 * square[name] + 0.001 * grad**2
            step = (mean[name] / (1 - 0.9**number)) / np.sqrt(square[name] / (1 - 0.999**number))
            values[name] = values[name] - 0.1 * (2 if name == "a_bias" else 1) * step
    for name in values:
        np.testing.assert_allclose(ours[name].asnumpy(), values[name], rtol=1e-4, atol=1e-5)


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


def test_multiplier_of_an_operator_reaches_weight_and_bias():
    data = mx.sym.Variable("data")
    net = mx.sym.FullyConnected(data, num_hidden=2, name="new", attr={"lr_mult": "3.00"})
    mults = lr_multipliers(mx.sym.FullyConnected(net, num_hidden=2, name="old"))
    assert mults["new_weight"] == mults["new_bias"] == 3.0
    assert "old_weight" not in mults


def test_decay_multipliers_and_gradient_scale():
    """The rule of Caffe: v = m v + lr lr_mult (scale g + wd wd_mult w), w -= v, biases decaying where stated."""
    rng = np.random.RandomState(1)
    net = mx.sym.FullyConnected(
        mx.sym.Variable("data"),
        mx.sym.Variable("fc_weight", wd_mult=0.5),
        mx.sym.Variable("fc_bias", wd_mult=1.0),
        num_hidden=2,
        name="fc",
    )
    decays = wd_multipliers(net)
    assert decays == {"fc_weight": 0.5, "fc_bias": 1.0}
    values = {name: rng.randn(2, 3).astype("float32") for name in decays}
    ours = {name: mx.nd.array(value) for name, value in values.items()}
    velocity = {name: np.zeros((2, 3)) for name in decays}
    sgd = MomentumSGD(ours, 0.9, 0.01, {"fc_bias": 2.0}, decays, rescale_grad=0.25)
    for number in range(1, 4):
        grads = {name: rng.randn(2, 3).astype("float32") for name in decays}
        sgd.update(ours, {name: mx.nd.array(grad) for name, grad in grads.items()}, 0.1, number)
        for name, decay in decays.items():
            rate = 0.1 * (2 if name == "fc_bias" else 1)
            step = rate * (0.25 * grads[name] + 0.01 * decay * values[name])
            velocity[name] = 0.9 * velocity[name] + step
            values[name] = values[name] - velocity[name]
    for name in decays:
        np.testing.assert_allclose(ours[name].asnumpy(), values[name], rtol=1e-5, atol=1e-6)


def test_warmup_then_steps():
    schedule = WarmupMultiFactorSchedule(1.0, [5, 8], 0.1, warmup_step=3, warmup_lr=0.25)
    assert [round(schedule(n), 6) for n in (1, 2, 3, 5, 6, 8, 9)] == [0.25, 0.25, 1, 1, 0.1, 0.1, 0.01]


def test_poly_is_caffes():
    schedule = PolySchedule(2.0, 10, 0.9, warmup_step=3, warmup_lr=0.25)
    assert [schedule(n) for n in (1, 2)] == [0.25, 0.25]
    assert [schedule(n) for n in (3, 10)] == pytest.approx([2 * 0.8**0.9, 2 * 0.1**0.9])
    assert PolySchedule(2.0, 10)(1) == 2.0
    assert PolySchedule(2.0, 10)(11) == PolySchedule(2.0, 10)(12) == 0
