"""ResNets: the published layer names, sizes of the stages, both places of the stride, normalisations, deformation."""

from dataclasses import replace

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.network.norm import norm_of
from fullconv.lib.network.resnet import ResNet, block_letters
from fullconv.lib.network.resnet_spec import RESNETS, ResNetSpec, resnet_spec

FCIS = {"strides": (1, 2, 2, 1), "dilations": (1, 1, 1, 2)}
SMALL_FCOS = replace(RESNETS["R-50"], units=(2, 1, 1, 1), stem=4, outputs=16, group_width=4)


def res5(name, **changes):
    return ResNet(resnet_spec(name, **changes)).features(mx.sym.Variable("data"))["res5"].symbol


@pytest.mark.parametrize("name, convolutions", [("resnet_v1_50", 53), ("resnet_v1_101", 104), ("resnet_v1_152", 155)])
def test_published_depths(name, convolutions):
    symbol = res5(name)
    weights = [n for n in symbol.list_arguments() if n.endswith("_weight")]
    assert len(weights) == convolutions and len(symbol.list_auxiliary_states()) == 2 * convolutions


def test_names_of_the_original_release():
    assert block_letters(4, 3, numbered=True) == ["a", "b1", "b2"]
    assert block_letters(2, 3, numbered=True) == block_letters(2, 3, numbered=False) == ["a", "b", "c"]
    arguments = res5("resnet_v1_101").list_arguments()
    for name in (
        "conv1_weight",
        "bn_conv1_gamma",
        "res2a_branch1_weight",
        "bn4b22_branch2c_beta",
        "res5c_branch2c_weight",
    ):
        assert name in arguments


@pytest.mark.parametrize("name, file", [("R-50", "R_50_FPN_1x"), ("X-101-64x4d", "X_101_64x4d_FPN_2x")])
def test_names_and_shapes_of_fcos(name, file, reference_dir):
    rows = [line.split("\t") for line in (reference_dir / "fcos" / f"m_state_dict_fcos_{file}.tsv").open()]
    body = {row[0]: row[1] for row in rows if row[0].startswith("backbone.body.")}
    symbol = res5(name)
    arguments, _, states = symbol.infer_shape(data=(1, 3, 64, 64))
    shapes = dict(zip(symbol.list_arguments() + symbol.list_auxiliary_states(), arguments + states))
    shapes.pop("data")
    expected = {"_".join(key.rsplit(".", 1)): shape for key, shape in body.items()}
    assert {key: "x".join(map(str, shape)) for key, shape in shapes.items()} == expected


def test_sizes_of_the_published_stages():
    maps = ResNet(resnet_spec("resnet_v1_101", **FCIS)).features(mx.sym.Variable("data"))
    shapes = {name: m.symbol.infer_shape(data=(1, 3, 600, 1000))[1][0] for name, m in maps.items()}
    assert shapes == {
        "res2": (1, 256, 150, 250),
        "res3": (1, 512, 75, 125),
        "res4": (1, 1024, 38, 63),
        "res5": (1, 2048, 38, 63),
    }


def test_every_channel_count_of_the_original_layout_fills_the_fast_blocks():
    for name in RESNETS:
        symbol = res5(name)
        shapes, _, _ = symbol.infer_shape(data=(1, 3, 64, 64))
        weights = [s for n, s in zip(symbol.list_arguments(), shapes) if n.endswith("_weight") and len(s) == 4]
        assert all(shape[0] % 16 == 0 for shape in weights), name


@pytest.mark.parametrize("trained, group", [(False, 0), (True, 0), (False, 1), (False, 8)])
def test_normalisations_share_names_and_only_batch_norm_has_statistics(trained, group):
    symbol = res5("resnet_v1_small", norm=norm_of(trained, group))
    assert {"bn2a_branch2a_gamma", "bn2a_branch2a_beta"} <= set(symbol.list_arguments())
    assert bool(symbol.list_auxiliary_states()) == (group == 0)


def output(spec, data):
    symbol = ResNet(spec).features(mx.sym.Variable("data"))["res5"].symbol
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=data.shape)
    rng = np.random.RandomState(0)
    for name, array in sorted({**executor.arg_dict, **executor.aux_dict}.items()):
        if name != "data":
            array[:] = 1.0 if name.endswith(("_gamma", "_var")) else rng.randn(*array.shape) * 0.1
    return executor.forward(data=mx.nd.array(data))[0].asnumpy()


@pytest.mark.parametrize("group", [0, 1])
def test_a_batch_is_its_images(group):
    data = np.random.RandomState(1).randn(2, 3, 64, 48)
    spec = resnet_spec("resnet_v1_small", norm=norm_of(False, group), **FCIS)
    together = output(spec, data)
    for index in range(2):
        np.testing.assert_allclose(together[index], output(spec, data[index : index + 1])[0], rtol=1e-3, atol=1e-4)


def strided_layers(spec):
    attributes = ResNet(spec).features(mx.sym.Variable("data"))["res5"].symbol.attr_dict()
    return {n for n, a in attributes.items() if a.get("stride") == "(2, 2)" and not n.endswith(("_weight", "_bias"))}


@pytest.mark.parametrize("in_1x1, part", [(True, "conv1"), (False, "conv2")])
def test_both_places_of_the_stride(in_1x1, part):
    blocks = [f"backbone.body.layer{layer}.0" for layer in (2, 3, 4)]
    stem = {"backbone.body.stem.conv1", "backbone.body.stem.pool"}
    expected = stem | {f"{block}.{layer}" for block in blocks for layer in (part, "downsample.0")}
    assert strided_layers(replace(SMALL_FCOS, stride_in_1x1=in_1x1)) == expected


@pytest.mark.parametrize("version, numbers", [(1, 18), (2, 27)])
def test_deformable_stages(version, numbers):
    spec = replace(SMALL_FCOS, deformable=(0, 0, version, version), groups=2, stride_in_1x1=False)
    symbol = ResNet(spec).features(mx.sym.Variable("data"))["res5"].symbol
    arguments, outputs, _ = symbol.infer_shape(data=(2, 3, 75, 93))
    shapes = dict(zip(symbol.list_arguments(), arguments))
    assert outputs == [(2, 128, 3, 3)]
    width, prefix = 2 * 4 * 8, "backbone.body.layer4.0.conv2"
    found = {name[len(prefix) :]: shape for name, shape in shapes.items() if name.startswith(prefix)}
    assert found == {
        ".offset_weight": (numbers, width, 3, 3),
        ".offset_bias": (numbers,),
        ".conv_weight": (width, width // 2, 3, 3),
    }
    assert "backbone.body.layer2.0.conv2_weight" in shapes


@pytest.mark.parametrize("version", [1, 2])
def test_a_deformable_convolution_that_shifts_nothing_is_a_convolution(version):
    spec = replace(SMALL_FCOS, deformable=(0, version, 0, 0))
    data = np.random.RandomState(2).randn(1, 3, 64, 96)
    plain = replace(spec, deformable=(0, 0, 0, 0))
    results = []
    for each in (spec, plain):
        symbol = ResNet(each).features(mx.sym.Variable("data"))["res3"].symbol
        executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=data.shape)
        for name, array in sorted({**executor.arg_dict, **executor.aux_dict}.items()):
            rng = np.random.RandomState(len(name.replace(".conv_", "_")))
            array[:] = 0.0 if ".offset_" in name else rng.rand(*array.shape) - 0.5 * name.endswith("weight")
            if name.endswith(".offset_bias"):
                array[18:] = 100.0  # weights of version 2, whose sigmoid is 1
        results.append(executor.forward(data=mx.nd.array(data))[0].asnumpy())
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4 * np.abs(results[1]).max())


def test_what_makes_no_network_is_named():
    with pytest.raises(ValueError, match="no backbone named 'vgg'; known: .*resnet_v1_50"):
        resnet_spec("vgg")
    with pytest.raises(ValueError, match=r"strides=\(1, 2, 2\): one number for each of four stages"):
        ResNetSpec((1, 1, 1, 1), strides=(1, 2, 2))
    with pytest.raises(ValueError, match=r"deformable=\(0, 0, 0, 3\): 0 \(not\), 1 and 2 are known"):
        ResNetSpec((1, 1, 1, 1), deformable=(0, 0, 0, 3))
