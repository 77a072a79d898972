"""ResNet builders: the published layer names, sizes of the stages, and the three normalisations."""

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.network.norm import norm_of
from fullconv.lib.network.resnet import RESNETS, block_names, resnet_v1

PUBLISHED = ((1, 2, 2, 1), (1, 1, 1, 2))


def shapes_of(stages, height, width):
    group = mx.sym.Group(list(stages.values()))
    _, outputs, _ = group.infer_shape(data=(1, 3, height, width))
    return dict(zip(stages, outputs))


@pytest.mark.parametrize("name, convolutions", [("resnet_v1_50", 53), ("resnet_v1_101", 104), ("resnet_v1_152", 155)])
def test_published_depths(name, convolutions):
    symbol = resnet_v1(name).features(mx.sym.Variable("data"), *PUBLISHED)["res5"]
    weights = [n for n in symbol.list_arguments() if n.endswith("_weight")]
    assert len(weights) == convolutions and len(symbol.list_auxiliary_states()) == 2 * convolutions


def test_names_of_the_blocks():
    assert block_names(4, 3, numbered=True) == ["4a", "4b1", "4b2"]
    assert block_names(2, 3, numbered=True) == block_names(2, 3, numbered=False) == ["2a", "2b", "2c"]
    arguments = resnet_v1("resnet_v1_101").features(mx.sym.Variable("data"), *PUBLISHED)["res5"].list_arguments()
    for name in (
        "conv1_weight",
        "bn_conv1_gamma",
        "res2a_branch1_weight",
        "bn4b22_branch2c_beta",
        "res5c_branch2c_weight",
    ):
        assert name in arguments


def test_sizes_of_the_published_stages():
    stages = resnet_v1("resnet_v1_101").features(mx.sym.Variable("data"), *PUBLISHED)
    assert shapes_of(stages, 600, 1000) == {
        "res2": (1, 256, 150, 250),
        "res3": (1, 512, 75, 125),
        "res4": (1, 1024, 38, 63),
        "res5": (1, 2048, 38, 63),
    }


def test_every_channel_count_fills_the_fast_blocks():
    for spec in RESNETS:
        builder = resnet_v1(spec)
        assert all(builder.channels(c) % 16 == 0 for c in (64, 128, 256, 512, 1024))


@pytest.mark.parametrize("trained, group", [(False, 0), (True, 0), (False, 1), (False, 8)])
def test_normalisations_share_names_and_only_batch_norm_has_statistics(trained, group):
    builder = resnet_v1("resnet_v1_small", norm_of(trained, group))
    symbol = builder.features(mx.sym.Variable("data"), *PUBLISHED)["res5"]
    assert {"bn2a_branch2a_gamma", "bn2a_branch2a_beta"} <= set(symbol.list_arguments())
    assert bool(symbol.list_auxiliary_states()) == (group == 0)


def output(builder, data):
    symbol = builder.features(mx.sym.Variable("data"), *PUBLISHED)["res5"]
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=data.shape)
    rng = np.random.RandomState(0)
    for name, array in sorted({**executor.arg_dict, **executor.aux_dict}.items()):
        if name != "data":
            array[:] = 1.0 if name.endswith(("_gamma", "_var")) else rng.randn(*array.shape) * 0.1
    return executor.forward(data=mx.nd.array(data))[0].asnumpy()


@pytest.mark.parametrize("group", [0, 1])
def test_a_batch_is_its_images(group):
    data = np.random.RandomState(1).randn(2, 3, 64, 48)
    builder = resnet_v1("resnet_v1_small", norm_of(False, group))
    together = output(builder, data)
    for index in range(2):
        np.testing.assert_allclose(together[index], output(builder, data[index : index + 1])[0], rtol=1e-3, atol=1e-4)


def test_unknown_backbone():
    with pytest.raises(ValueError, match="resnet_v1_50"):
        resnet_v1("vgg")
