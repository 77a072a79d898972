"""Devices, accumulation and executors of different shapes give one and the same computation."""

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.core.executors import ExecutorPool
from fullconv.lib.core.optimizer import OPTIMIZERS
from fullconv.lib.core.trainer import Trainer, fixed_parameters

LARGEST = {"data": (1, 3, 16, 16), "label": (1,)}


def network():
    data = mx.sym.Variable("data")
    net = mx.sym.Convolution(data, kernel=(3, 3), num_filter=4, name="conv")
    net = mx.sym.BatchNorm(net, use_global_stats=True, fix_gamma=False, name="norm")
    net = mx.sym.Pooling(mx.sym.Activation(net, act_type="relu"), global_pool=True, kernel=(1, 1), pool_type="avg")
    net = mx.sym.FullyConnected(net, num_hidden=3, name="fc")
    return mx.sym.SoftmaxOutput(net, mx.sym.Variable("label"), name="softmax")


def params(trainer, seed=0):
    rng = np.random.RandomState(seed)
    return {n: mx.nd.array(rng.rand(*shape)) for n, shape in sorted(trainer.param_shapes().items())}


def batches(count, sizes=((16, 16),), seed=1):
    rng = np.random.RandomState(seed)
    return [
        {"data": rng.randn(1, 3, *sizes[i % len(sizes)]).astype("float32"), "label": np.array([i % 3], "float32")}
        for i in range(count)
    ]


def train(devices, accumulate, data, **options):
    trainer = Trainer(network(), [mx.cpu(i) for i in range(devices)], LARGEST, accumulate=accumulate, **options)
    start = params(trainer)
    trainer.set_params(start, start)
    for i in range(0, len(data), trainer.batches_per_step):
        trainer.step(data[i : i + trainer.batches_per_step], lr=0.05)
    return {n: a.asnumpy() for part in trainer.get_params() for n, a in part.items()}, trainer


@pytest.mark.parametrize("optimizer, tolerance", [("sgd", 1e-5), ("muon", 1e-3)])
@pytest.mark.parametrize("kvstore", ["device", "local"])
@pytest.mark.parametrize("devices, accumulate", [(1, 4), (4, 1), (2, 2)])
def test_devices_and_accumulation_are_the_same_sum(devices, accumulate, kvstore, optimizer, tolerance):
    data = batches(12, sizes=((16, 16), (12, 16), (9, 7)))
    expected, _ = train(1, 4, data, optimizer=optimizer)
    got, trainer = train(devices, accumulate, data, optimizer=optimizer, kvstore=kvstore)
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], rtol=tolerance, atol=tolerance / 10, err_msg=name)
    for name in trainer.learned:
        for pool in trainer.pools:
            np.testing.assert_array_equal(pool.params[name].asnumpy(), got[name], err_msg=name)


def test_momentum_goes_back_to_several_devices():
    data = batches(8)
    expected, _ = train(2, 1, data)
    half, trainer = train(2, 1, data[:4])
    other = Trainer(network(), [mx.cpu(0), mx.cpu(1)], LARGEST)
    arrays = {name: mx.nd.array(value) for name, value in half.items()}
    other.set_params(arrays, arrays)
    other.set_optimizer_state(trainer.get_optimizer_state())
    for place in (4, 6):
        other.step(data[place : place + 2], lr=0.05)
    for name, value in other.get_params()[0].items():
        np.testing.assert_array_equal(value.asnumpy(), expected[name], err_msg=name)


def test_muon_hands_gradients_that_are_not_finite_on():
    """The engine then finds parameters that are not, and says on which images."""
    (batch,) = batches(1)
    batch["data"][:] = np.nan
    _, trainer = train(1, 1, [batch], optimizer="muon")
    assert "fc_weight" in trainer.diverged() or "conv_weight" in trainer.diverged()


def test_gradients_are_summed_not_averaged():
    one = batches(1)
    single, _ = train(1, 1, one)
    twice, trainer = train(1, 2, one + one, wd=0.0)
    plain, _ = train(1, 1, one, wd=0.0)
    start = {n: a.asnumpy() for n, a in params(trainer).items()}
    np.testing.assert_allclose(
        twice["conv_weight"] - start["conv_weight"],
        2 * (plain["conv_weight"] - start["conv_weight"]),
        rtol=1e-4,
        atol=1e-6,
    )
    assert single.keys() == twice.keys()


def test_fixed_parameters_stay():
    got, trainer = train(1, 1, batches(3), fixed_prefixes=["conv"])
    np.testing.assert_array_equal(got["conv_weight"], params(trainer)["conv_weight"].asnumpy())
    assert np.abs(got["fc_weight"] - params(trainer)["fc_weight"].asnumpy()).max() > 0
    assert fixed_parameters(["conv1_weight", "bn_gamma"], ["conv1", "gamma"]) == ["conv1_weight"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_momentum_round_trip_continues_exactly(optimizer):
    data = batches(6)
    expected, _ = train(1, 1, data, optimizer=optimizer)
    half, trainer = train(1, 1, data[:3], optimizer=optimizer)
    other = Trainer(network(), [mx.cpu()], LARGEST, optimizer=optimizer)
    arrays = {n: mx.nd.array(v) for n, v in half.items()}
    other.set_params(arrays, arrays)
    other.set_optimizer_state(trainer.get_optimizer_state())
    other.num_update = trainer.num_update
    for batch in data[3:]:
        other.step([batch], lr=0.05)
    for name, value in other.get_params()[0].items():
        np.testing.assert_array_equal(value.asnumpy(), expected[name], err_msg=name)


@pytest.mark.parametrize("other", ["adam", "torch_sgd"])
def test_another_optimizers_state_is_refused(other):
    trainer = Trainer(network(), [mx.cpu()], LARGEST)
    with pytest.raises(ValueError, match=r"resume with the optimizer of its configuration"):
        Trainer(network(), [mx.cpu()], LARGEST, optimizer=other).set_optimizer_state(trainer.get_optimizer_state())


def test_wrong_number_of_batches_is_refused():
    trainer = Trainer(network(), [mx.cpu()], LARGEST, accumulate=2)
    with pytest.raises(ValueError, match="takes 2 batches, got 1"):
        trainer.step(batches(1), lr=0.1)


def test_pool_bounds_its_executors_and_shares_parameters():
    pool = ExecutorPool(network(), mx.cpu(), LARGEST, limit=3)
    for array in pool.params.values():
        array[:] = 0.5
    outputs = []
    for side in (16, 15, 14, 13, 12, 15, 16):
        batch = {"data": np.ones((1, 3, side, side), "float32"), "label": np.zeros(1, "float32")}
        outputs.append(pool.forward(batch, is_train=False)[0].asnumpy())
        assert len(pool._executors) <= 3
    np.testing.assert_allclose(outputs, np.repeat(outputs[:1], len(outputs), axis=0), rtol=1e-5)


def test_parameters_that_are_not_finite_are_named_however_many_there_are():
    net = mx.sym.Variable("data")
    for index in range(130):
        net = mx.sym.FullyConnected(net, num_hidden=2, name=f"layer{index}")
    trainer = Trainer(mx.sym.MakeLoss(net), [mx.cpu()], {"data": (1, 2)})
    assert len(trainer.learned) == 260 and trainer.diverged() == []
    trainer.pools[0].params["layer120_bias"][:] = np.inf
    assert trainer.diverged() == ["layer120_bias"]
