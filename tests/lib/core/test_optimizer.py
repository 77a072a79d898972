"""Momentum SGD against MXNet's optimizer and the schedule's rules."""

import mxnet as mx
import numpy as np

from lib.core.optimizer import MomentumSGD, WarmupMultiFactorSchedule, lr_multipliers


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
    for _ in range(4):
        grads = {n: mx.nd.array(rng.randn(3, 2)) for n in names}
        sgd.update(ours, grads, 0.1)
        for index, name in enumerate(names):
            updater(index, grads[name], theirs[name])
    for name in names:
        np.testing.assert_allclose(ours[name].asnumpy(), theirs[name].asnumpy(), rtol=1e-6, atol=1e-7)


def test_multiplier_of_an_operator_reaches_weight_and_bias():
    data = mx.sym.Variable("data")
    net = mx.sym.FullyConnected(data, num_hidden=2, name="new", attr={"lr_mult": "3.00"})
    mults = lr_multipliers(mx.sym.FullyConnected(net, num_hidden=2, name="old"))
    assert mults["new_weight"] == mults["new_bias"] == 3.0
    assert "old_weight" not in mults


def test_warmup_then_steps():
    schedule = WarmupMultiFactorSchedule(1.0, [5, 8], 0.1, warmup_step=3, warmup_lr=0.25)
    assert [round(schedule(n), 6) for n in (1, 2, 3, 5, 6, 8, 9)] == [0.25, 0.25, 1, 1, 0.1, 0.1, 0.01]
