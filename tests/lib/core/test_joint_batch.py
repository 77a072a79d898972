"""Batch norms over several devices: k devices with n images each are one device with k n."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.core.joint_batch import JointBatch
from fullconv.lib.core.trainer import Trainer

LARGEST = {"data": (4, 3, 9, 11), "weight": (4,)}
STATES = ("norm1_moving_mean", "norm1_moving_var", "norm2_moving_mean", "norm2_moving_var")


def network(**norm):
    """Two batch norms, a fixed one between them, and a loss per image."""
    data = mx.sym.Variable("data")
    net = mx.sym.Convolution(data, kernel=(3, 3), pad=(1, 1), num_filter=4, no_bias=True, name="conv1")
    net = mx.sym.BatchNorm(net, fix_gamma=False, eps=1e-5, name="norm1", **norm)
    net = mx.sym.Convolution(mx.sym.relu(net), kernel=(3, 3), stride=(2, 2), num_filter=5, no_bias=True, name="conv2")
    net = mx.sym.BatchNorm(net, fix_gamma=False, use_global_stats=True, name="fixed")
    net = mx.sym.BatchNorm(net, fix_gamma=False, eps=1e-5, momentum=0.8, name="norm2")
    net = mx.sym.sum(mx.sym.square(mx.sym.tanh(net) - 0.1), axis=(1, 2, 3))
    return mx.sym.MakeLoss(net * mx.sym.Variable("weight"), name="loss")


def images(count, sizes=((9, 11),), seed=0):
    rng = np.random.RandomState(seed)
    return [
        {"data": rng.randn(1, 3, *sizes[i % len(sizes)]).astype("f4") * 3 + 5, "weight": rng.rand(1).astype("f4")}
        for i in range(count)
    ]


def batches(each, size):
    """Of `size` images each, padded to the largest."""
    shape = tuple(max(image["data"].shape[axis] for image in each) for axis in (2, 3))
    stacked = []
    for begin in range(0, len(each), size):
        part = each[begin : begin + size]
        h, w = (max(image["data"].shape[axis] for image in part) for axis in (2, 3)) if size < len(each) else shape
        data = np.zeros((size, 3, h, w), "f4")
        for row, image in zip(data, part):
            row[:, : image["data"].shape[2], : image["data"].shape[3]] = image["data"][0]
        stacked.append({"data": data, "weight": np.concatenate([image["weight"] for image in part])})
    return stacked


def start(trainer):
    rng = np.random.RandomState(4)
    shapes = trainer.param_shapes()
    return {name: mx.nd.array(rng.rand(*shapes[name]) + 0.2) for name in sorted(shapes)}


def train(devices, each, updates=3, accumulate=1, **norm):
    """Every array after some updates, the losses by image, and the gradients of the last."""
    size = len(each) // devices // accumulate
    shape = batches(each, len(each))[0]["data"].shape[2:]
    trainer = Trainer(
        network(**norm),
        [mx.cpu(i) for i in range(devices)],
        {"data": (size, 3, *shape), "weight": (size,)},
        accumulate=accumulate,
        joint_norms=True,
    )
    values, losses = start(trainer), []
    trainer.set_params(values, values)
    for _ in range(updates):
        trainer.step(
            batches(each, size), 0.02, lambda inputs, outputs: losses.append((inputs["data"].shape, outputs[0].copy()))
        )
    arrays = {n: a.asnumpy() for part in trainer.get_params() for n, a in part.items()}
    gradients = {name: array.asnumpy() for name, array in trainer.pools[0].grads.items()}
    return arrays, np.concatenate([loss.asnumpy() for _, loss in losses]), gradients, losses[0][0]


@pytest.mark.parametrize("sizes", [((9, 11),), ((9, 11), (13, 10), (12, 16), (9, 16))])
@pytest.mark.parametrize("devices", [2, 4])
def test_devices_are_one_device_with_all_their_images(devices, sizes):
    each = images(4, sizes)
    one, many = train(1, each), train(devices, each)
    for name in one[0]:
        np.testing.assert_allclose(many[0][name], one[0][name], rtol=1e-5, atol=1e-6, err_msg=name)
    for name in one[2]:
        # Scale and shift that the next batch norm takes back have a gradient of 0: what is left is what sums of large
        # numbers leave of rounding.
        undone = name.startswith("fixed_")
        assert not undone or np.abs(one[2][name]).max() < 1e-4
        np.testing.assert_allclose(many[2][name], one[2][name], rtol=1e-5, atol=1e-4 if undone else 1e-5, err_msg=name)
    np.testing.assert_allclose(many[1], one[1], rtol=1e-5)
    assert many[3][0] * devices == one[3][0] == 4 and many[3][1:] == one[3][1:]


def test_accumulated_batches_have_statistics_of_their_own():
    each = images(4)
    together, apart = train(2, each, updates=1), train(1, each, updates=1, accumulate=2)
    assert np.abs(together[1] - apart[1]).max() > 1e-3
    np.testing.assert_allclose(train(1, each[:2], updates=1)[1], apart[1][:2], rtol=1e-5)


@pytest.mark.parametrize("momentum", [0.9, 0.7])
def test_averages_are_pytorchs(momentum):
    """Of the variance over one number less, as it was before the update, of all images."""
    each = images(4)
    arrays, _, _, _ = train(2, each, updates=1, momentum=momentum)
    one = Trainer(network(), [mx.cpu()], LARGEST, joint_norms=True)
    values = start(one)
    data = mx.nd.array(batches(each, 4)[0]["data"])
    maps = mx.nd.Convolution(data, values["conv1_weight"], kernel=(3, 3), pad=(1, 1), num_filter=4, no_bias=True)
    maps = maps.asnumpy().astype(np.float64)
    for word, measured in (("mean", maps.mean((0, 2, 3))), ("var", maps.var((0, 2, 3), ddof=1))):
        before = values[f"norm1_moving_{word}"].asnumpy()
        expected = momentum * before + (1 - momentum) * measured
        np.testing.assert_allclose(arrays[f"norm1_moving_{word}"], expected, rtol=1e-5, err_msg=word)
    np.testing.assert_array_equal(arrays["fixed_moving_var"], values["fixed_moving_var"].asnumpy())


def test_one_device_is_mxnets_batch_norm_but_for_the_averages():
    each = images(4)
    joint, _, gradients, _ = train(1, each, updates=1)
    plain = Trainer(network(), [mx.cpu()], LARGEST)
    values = start(plain)
    plain.set_params(values, values)
    plain.step(batches(each, 4), 0.02)
    for name, array in plain.pools[0].grads.items():
        np.testing.assert_allclose(gradients[name], array.asnumpy(), rtol=1e-4, atol=1e-4, err_msg=name)
    numbers, states = 4 * 9 * 11, plain.get_params()[1]
    mean, var = (states[f"norm1_moving_{word}"].asnumpy() for word in ("mean", "var"))
    np.testing.assert_allclose(joint["norm1_moving_mean"], mean, rtol=1e-5)
    before = 0.9 * values["norm1_moving_var"].asnumpy()
    np.testing.assert_allclose(joint["norm1_moving_var"] - before, (var - before) * numbers / (numbers - 1), rtol=1e-3)


def test_names_stay_and_every_device_has_its_own_inputs():
    symbol = network()
    joint = JointBatch(symbol, LARGEST, 3)
    assert set(joint.symbol.list_auxiliary_states()) == set(symbol.list_auxiliary_states()) >= set(STATES)
    own = {f"{name}.on{device}" for name in ("data", "weight") for device in range(3)}
    assert set(joint.symbol.list_arguments()) == set(symbol.list_arguments()) - {"data", "weight"} | own
    assert len(joint.symbol.list_outputs()) == 3
    inputs, outputs = {f"{n}.on{d}": (n, d) for n in ("data", "weight") for d in range(3)}, ["a", "b", "c"]
    assert joint.apart(inputs, outputs)[2] == ({"data": ("data", 2), "weight": ("weight", 2)}, ["c"])


def test_padding_is_that_of_the_input():
    joint = JointBatch(network(), LARGEST, 2, {"weight": -1})
    parts = [{"data": np.ones((1, 2)), "weight": np.ones(3)}, {"data": np.ones((2, 1)), "weight": np.ones(1)}]
    made = joint.together(parts)
    assert made["data.on0"].tolist() == [[1, 1], [0, 0]] and made["data.on1"].tolist() == [[1, 0], [1, 0]]
    assert made["weight.on1"].tolist() == [1, -1, -1]


@pytest.mark.parametrize("options", [{}, {"fix_gamma": False, "axis": 3}])
def test_norms_that_cannot_be_divided_are_named(options):
    symbol = mx.sym.BatchNorm(mx.sym.Variable("data"), name="odd", **options)
    with pytest.raises(ValueError, match="batch norm odd with .*only axis=1, fix_gamma=False"):
        JointBatch(symbol, {"data": (1, 3, 9, 11)}, 2)
