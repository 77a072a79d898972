"""Networks and weights through files: strict, exact, and with errors that name the layer."""

from __future__ import annotations

import os

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcn.symbols import build, initial_params
from fullconv.lib.convert import caffe, caffemodel
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.core import checkpoint
from fullconv.lib.network.caffe.layer import without

DEPLOY = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 9 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 3 pad: 1 } }
"""


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "net.prototxt"

    def write(text):
        path.write_text(text)
        return str(path)

    return write


def layer(kind, body, bottoms=("data",), top="x"):
    names = "".join(f'bottom: "{bottom}" ' for bottom in bottoms)
    return f'{DEPLOY}layer {{ name: "x" type: "{kind}" {names}top: "{top}" {body} }}'


@pytest.mark.parametrize(
    "kind, body, message",
    [
        ("Tile", "", "type 'Tile' is not supported; known types: AbsVal, .*Remove the layer or replace it"),
        ("", "", "type is missing"),
        ("Convolution", "convolution_param { num_output: 2 }", "kernel_size is missing"),
        ("Convolution", "convolution_param { num_output: 2 kernel_h: 3 }", "state kernel_size, or both kernel_h and"),
        ("Convolution", "convolution_param { num_output: 2 kernel_size: [1, 2, 3] }", "3 axes; images have two"),
        (
            "Convolution",
            "convolution_param { num_output: 2 kernel_size: 0.5f }",
            "a number from 1 to 4096 .* found 0.5",
        ),
        (
            "Convolution",
            "convolution_param { num_output: 2 kernel_size: 1 bias_term: 2 }",
            "true or false .* found '2'",
        ),
        ("InnerProduct", "inner_product_param { num_output: 2 transpose: true }", "transpose them in Caffe"),
        ("Convolution", "convolution_param { num_output: 99999999 kernel_size: 1 }", "num_output: a number from 1"),
        ("Convolution", "convolution_param { num_output: 3 kernel_size: 1 group: 2 }", "3 does not divide into 2"),
        ("ReLU", 'param { name: "shared" }', "name is not supported; known here: lr_mult, decay_mult"),
        ("Pooling", "pooling_param { pool: 2 kernel_size: 2 }", "STOCHASTIC draws at random and is not supported"),
        (
            "Pooling",
            "pooling_param { pool: 3 kernel_size: 2 }",
            "pool: 3 is not known; it is one of MAX, AVE, STOCHASTIC",
        ),
        ("Pooling", "pooling_param { kernel_size: 2 pad: 2 }", "must be below the kernel's size 2"),
        ("Pooling", "pooling_param { kernel_size: 2 round_mode: FLOOR }", "round_mode: FLOOR is not supported"),
        ("LRN", "lrn_param { norm_region: WITHIN_CHANNEL }", "norm_region: WITHIN_CHANNEL is not supported"),
        ("LRN", "lrn_param { norm_region: 1 }", "norm_region: WITHIN_CHANNEL is not supported"),
        ("LRN", "lrn_param { local_size: 4 }", "an odd number"),
        ("LRN", 'lrn_param { alpha: "much" }', "alpha: a number is expected, found 'much'"),
        ("Log", "log_param { base: 0 }", "base: a positive number, or -1 for e, is expected, found 0"),
        ("BatchNorm", "batch_norm_param { use_global_stats: false }", "testing takes the stored ones"),
        ("Slice", "slice_param { slice_point: 1 }", "0 rising numbers are expected for 1 tops"),
        ("Reshape", "", "one to eight numbers are expected"),
        ("Flatten", "flatten_param { axis: 2 }", "axis: 2 is not supported, only 1"),
        ("ArgMax", "", "only the index of the largest along a stated axis is supported"),
        ("Dropout", "dropout_param { dropout_ratio: 1 }", "from 0 to below 1"),
        ("Crop", "crop_param { axis: 1 }", "2 bottoms|1 bottoms"),
        ("Scale", "scale_param { num_axes: 2 }", "num_axes"),
        ("Eltwise", "", "1 bottoms and 1 tops do not fit a Eltwise layer"),
        ("Softmax", "softmax_param { axis: 5 }", "axis: a number from -4 to 3 is expected, found 5"),
        ("ReLU", "transform_param { scale: 2 }", "transform_param is not supported"),
        ("ReLU", "include { batch: 1 }", "batch is not supported; known here: phase, min_level"),
        ("ReLU", "include { phase: 3 }", "phase: 3 is not known; it is one of TRAIN, TEST"),
        ("Input", "input_param { shape { dim: -1 } }", "positive numbers"),
    ],
)
def test_what_is_not_supported_is_named(network, kind, body, message):
    path = network(layer(kind, body))
    with pytest.raises(ConvertError, match=message) as error:
        caffe.load_network(path)
    assert str(error.value).startswith(path) and "layer 'x' (line 5)" in str(error.value)


def test_two_generations_and_data_layers_say_the_same(network):
    new = caffe.load_network(network(DEPLOY))
    old = caffe.load_network(
        network("""input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 9
        layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv"
          convolution_param { num_output: 2 kernel_size: 3 pad: 1 } }""")
    )
    assert new == old
    data = caffe.load_network(
        network("""layer { name: "in" type: "Python" top: "data" top: "label"
        python_param { module: "m" layer: "L" param_str: "{}" } }""")
    )
    assert [row.name for row in data] == ["data", "label"] and data[0].type == "Input"


def test_phases_are_told_apart(network):
    relu = 'layer {{ name: "{0}" type: "ReLU" bottom: "conv" top: "conv" {1} {{ phase: {2} }} }}'
    path = network(DEPLOY + relu.format("a", "include", "TRAIN") + relu.format("b", "exclude", "TRAIN"))
    assert [row.name for row in caffe.load_network(path)][2:] == ["b"]
    assert [row.name for row in caffe.load_network(path, "TRAIN")][2:] == ["a"]


def test_no_network(network):
    with pytest.raises(ConvertError, match=r"no layers: not a network \(is it a solver"):
        caffe.load_network(network('name: "x"'))
    with pytest.raises(ConvertError, match="base_lr is not supported"):
        caffe.load_network(network("base_lr: 1e-10"))


@pytest.fixture
def slim():
    net = build("voc-fcn8s-atonce", [3], width=1 / 16, hidden=8)
    return net, without(net.layers, "Dropout"), initial_params(net)


def test_round_trip_is_exact(slim, tmp_path):
    net, layers, params = slim
    paths = caffe.export(
        layers, {n: mx.nd.array(a) for n, a in params.items()}, str(tmp_path / "out" / "net"), net.data_shapes(40, 50)
    )
    again, weights = caffe.load(*paths)
    assert again == layers and weights.keys() == params.keys()
    assert all((weights[name] == params[name]).all() for name in params)


def test_strict_about_missing_unexpected_and_shapes(slim, tmp_path):
    _, layers, params = slim
    params["extra_weight"] = params.pop("fc7_bias")
    params["fc6_weight"] = params["fc6_weight"].reshape(8, -1)
    with pytest.raises(ConvertError) as error:
        caffe.match(params, caffe.param_shapes(layers), "some.caffemodel")
    for part in ("some.caffemodel", "fc7_bias (8,)", "extra_weight (8,)", "fc6_weight: file (8, 1568)", "transplant"):
        assert part in str(error.value)


def test_export_leaves_nothing_half_written(slim, tmp_path):
    net, layers, params = slim
    shapes, prefix = net.data_shapes(8, 8), str(tmp_path / "net")
    broken = dict(params, fc6_bias=np.full(8, np.nan, np.float32))
    with pytest.raises(ConvertError, match="not written: layer 'fc6'"):
        caffe.export(layers, broken, prefix, shapes)
    with pytest.raises(ConvertError, match="missing"):
        caffe.export(layers, {}, prefix, shapes)
    with pytest.raises(ValueError, match="losses are not exported"):
        labels = {"label": (1, 1, 8, 8)}
        caffe.export(without(net.train_layers(), "Dropout"), params, prefix, {**shapes, **labels})
    assert os.listdir(tmp_path) == []


def test_a_layer_caffe_does_not_have_is_not_exported(tmp_path):
    net = build("voc-fcn32s", [3], width=1 / 16, hidden=8, norm=True)
    with pytest.raises(ValueError, match="conv1_1_norm.*Caffe has no GroupNorm; train with network.norm false"):
        shapes = net.data_shapes(32, 32)
        caffe.export(without(net.layers, "Dropout"), initial_params(net), str(tmp_path / "net"), shapes)
    assert not list(tmp_path.iterdir())


def test_layers_with_more_arrays_are_refused(tmp_path):
    path = str(tmp_path / "bn.caffemodel")
    caffemodel.write(path, [caffemodel.BlobLayer("bn", "BatchNorm", (np.ones(2),) * 3)])
    with pytest.raises(
        ConvertError, match=r"layer 'bn': a BatchNorm's arrays are \(C,\), \(C,\), \(1,\); found \(2,\), "
    ):
        caffe.load_params(path)
    caffemodel.write(path, [caffemodel.BlobLayer("rnn", "LSTM", (np.ones(2),) * 3)])
    with pytest.raises(ConvertError, match="layer 'rnn' .LSTM. holds 3 arrays"):
        caffe.load_params(path)


def test_a_training_prototxt_does_as_well(slim, network, tmp_path):
    """Python data layer, label and loss, as the published files have them."""
    net, layers, params = slim
    paths = caffe.export(layers, params, str(tmp_path / "net"), net.data_shapes(8, 8))
    with open(paths[0]) as file:
        text = file.read()
    source = 'layer { name: "data" type: "Python" top: "data" top: "label" python_param { module: "voc_layers" } }'
    loss = """layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss"
        loss_param { ignore_label: 255 normalize: false } }"""
    deploy = text[text.index('layer {\n  name: "conv1_1"') :]
    again, weights = caffe.load(network(source + deploy + loss), paths[1])
    assert [row.name for row in again] == [row.name for row in layers] and weights.keys() == params.keys()
    full = caffe.load_network(network(source + deploy + loss))
    assert full[-1].options == {"normalization": "batch", "ignore_label": 255}


def test_command_line(slim, tmp_path, capsys):
    net, layers, params = slim
    paths = caffe.export(layers, params, str(tmp_path / "net"), net.data_shapes(8, 8))
    assert caffe.main(["show", paths[1]]) == 0
    total = sum(array.size for array in params.values())
    assert f"{total} parameters" in capsys.readouterr().out
    assert caffe.main(["show", paths[0]]) == 0
    prefix = str(tmp_path / "mx")
    assert caffe.main(["import", "--prototxt", paths[0], "--caffemodel", paths[1], "--prefix", prefix]) == 0
    loaded, _ = checkpoint.load_params(prefix, 0)
    assert all((loaded[name].asnumpy() == params[name]).all() for name in params)
    assert caffe.main(["show", str(tmp_path / "absent.caffemodel")]) == 1
    assert "error: " in capsys.readouterr().err
