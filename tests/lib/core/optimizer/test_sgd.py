"""Momentum SGD in both forms, against MXNet's own and the formulas."""

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.core.optimizer import MomentumSGD, TorchSGD
from fullconv.lib.core.optimizer.multipliers import wd_multipliers


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


def steps(kind, rates, momentum=0.9, wd=0.01):
    """Where the rule leads from fixed gradients, and where both formulas do, in float64."""
    rng = np.random.RandomState(3)
    start = rng.randn(3, 2)
    ours = {"fc_weight": mx.nd.array(start)}
    rule = kind(ours, momentum, wd, {"fc_weight": 2.0}, rescale_grad=0.5)
    torch, mxnet = [start.copy(), np.zeros((3, 2))], [start.copy(), np.zeros((3, 2))]
    for number, rate in enumerate(rates, 1):
        grad = rng.randn(3, 2)
        rule.update(ours, {"fc_weight": mx.nd.array(grad)}, rate, number)
        torch[1] = momentum * torch[1] + 0.5 * grad + wd * torch[0]
        torch[0] = torch[0] - 2 * rate * torch[1]
        mxnet[1] = momentum * mxnet[1] - 2 * rate * (0.5 * grad + wd * mxnet[0])
        mxnet[0] = mxnet[0] + mxnet[1]
    return ours["fc_weight"].asnumpy(), torch[0], mxnet[0]


@pytest.mark.parametrize("kind", [MomentumSGD, TorchSGD])
def test_the_two_forms_agree_while_the_rate_stays(kind):
    found, torch, mxnet = steps(kind, [0.1] * 5)
    np.testing.assert_allclose(found, torch, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(torch, mxnet, rtol=1e-12)


@pytest.mark.parametrize("kind, of", [(MomentumSGD, 2), (TorchSGD, 1)])
def test_each_is_its_own_formula_where_the_rate_changes(kind, of):
    results = steps(kind, [0.1, 0.1, 0.01, 0.01])
    np.testing.assert_allclose(results[0], results[of], rtol=1e-5, atol=1e-6)
    assert np.abs(results[1] - results[2]).max() > 1e-2
