"""The files that people bring: sizes, crops, phases and generations as the file means them."""

from __future__ import annotations

import logging

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.convert import caffe, caffemodel
from fullconv.lib.convert.caffemodel import BlobLayer
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.convert.surgery import upsample_filt
from fullconv.lib.utils.wire import encode_text, encode_varint, head


@pytest.fixture
def files(tmp_path):
    """Paths of a prototxt with this text and a caffemodel with random arrays of these shapes, by layer."""

    def write(text, **shapes):
        rng, (net, model) = np.random.RandomState(0), (tmp_path / "net.prototxt", tmp_path / "net.caffemodel")
        net.write_text(text)
        blobs = {name: tuple(rng.randn(*shape).astype(np.float32) for shape in each) for name, each in shapes.items()}
        kinds = {"ip": "InnerProduct"}
        caffemodel.write(str(model), [BlobLayer(n, kinds.get(n, "Convolution"), each) for n, each in blobs.items()])
        return str(net), str(model)

    return write


# ------------------------------------------------------------------------------------------------------ crops

FULLY = """input: "data" input_dim: 1 input_dim: 1 input_dim: 40 input_dim: 44
layer { name: "down" type: "Pooling" bottom: "data" top: "down" pooling_param { pool: AVE kernel_size: 2 stride: 2 } }
layer { name: "conv" type: "Convolution" bottom: "down" top: "conv"
  convolution_param { num_output: 1 kernel_size: 1 pad_h: 5 pad_w: 3 } }
layer { name: "up" type: "Deconvolution" bottom: "conv" top: "up"
  convolution_param { num_output: 1 kernel_size: 4 stride: 2 bias_term: false } }
layer { name: "crop" type: "Crop" bottom: "up" bottom: "data" top: "score" %s }"""


def test_a_crop_without_offset_aligns_and_says_so(files, caplog):
    """A bright spot comes out where it went in; the offsets of the two directions differ with the padding."""
    path, _ = files(FULLY % "")
    with caplog.at_level(logging.WARNING):
        layers = caffe.load_network(path)
    assert layers[-1].options == {"offset": (11, 7)}
    assert "layer 'crop' (line 7): no crop_param: offset (11, 7) lays up over data" in caplog.text
    image = np.zeros((1, 1, 40, 44), np.float32)
    image[0, 0, 16:24, 20:28] = 1
    executor = caffe.symbol(layers).simple_bind(mx.cpu(), data=image.shape)
    executor.copy_params_from(
        {
            "conv_weight": mx.nd.ones((1, 1, 1, 1)),
            "conv_bias": mx.nd.zeros(1),
            "up_weight": mx.nd.array(upsample_filt(4)[None, None]),
        }
    )
    found = executor.forward(is_train=False, data=mx.nd.array(image))[0].asnumpy()[0, 0]
    assert found.shape == (40, 44)
    centre = [np.average(np.arange(n), weights=found.sum(1 - axis)) for axis, n in enumerate(found.shape)]
    np.testing.assert_allclose(centre, [19.5, 23.5], atol=1e-4)


def test_bvlcs_rule_on_request_and_stated_offsets_as_stated(files, caplog):
    path, _ = files(FULLY % "")
    assert caffe.load_network(path, crop="zero")[-1].options == {"offset": 0}
    for param, offset in (("axis: 2", 0), ("offset: 3", 3), ("offset: 3 offset: 4", (3, 4)), ("", 0)):
        path, _ = files(FULLY % f"crop_param {{ {param} }}")
        assert caffe.load_network(path)[-1].options == {"offset": offset}
    assert not caplog.records
    with pytest.raises(ValueError, match="crop='centre': 'aligned' or 'zero' is expected"):
        caffe.load_network(path, crop="centre")


def test_a_crop_that_cannot_be_aligned_is_refused_with_both_remedies(files):
    for param, reason in (("pool: AVE kernel_size: 3 stride: 2", "cropped by"), ("global_pooling: true", "not a map")):
        path, _ = files((FULLY % "").replace("pool: AVE kernel_size: 2 stride: 2", param))
        with pytest.raises(ConvertError, match=f"layer 'crop' .line 7.: there is no crop_param.*{reason}") as error:
            caffe.load_network(path)
        assert "State crop_param { offset: ... }" in str(error.value) and "'zero'" in str(error.value)
        assert caffe.load_network(path, crop="zero")[-1].options == {"offset": 0}


def test_crop_offsets_by_command(files, capsys):
    path, _ = files(FULLY % "")
    assert caffe.main(["show", path]) == 0 and "{'offset': (11, 7)}" in capsys.readouterr().out
    assert caffe.main(["show", path, "--crop-offset", "zero"]) == 0 and "{'offset': 0}" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------------ sizes

LENET = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 5 } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip" inner_product_param { num_output: 3 } }"""


def data(kind, body, tops=("data", "label")):
    names = "".join(f'top: "{top}" ' for top in tops)
    return f'layer {{ name: "d" type: "{kind}" {names} {body} }}\n'


@pytest.mark.parametrize(
    "source, shape",
    [
        ('input: "data" input_dim: 64 input_dim: 1 input_dim: 20 input_dim: 24', (64, 1, 20, 24)),
        ('input: "data" input_shape { dim: [1, 1, 20, 24] }', (1, 1, 20, 24)),
        (data("Input", "input_param { shape { dim: 7 dim: 1 dim: 20 dim: 24 } }", ["data"]), (7, 1, 20, 24)),
        (data("Data", "transform_param { crop_size: 20 } data_param { backend: 1 }"), (1, 0, 20, 20)),
        (data("Data", "data_param { crop_size: 20 }"), (1, 0, 20, 20)),
        (data("WindowData", "window_data_param { crop_size: 20 }"), (1, 3, 20, 20)),
        (data("ImageData", "image_data_param { new_height: 20 new_width: 24 is_color: 0 }"), (1, 1, 20, 24)),
        (
            data("ImageData", "image_data_param { new_height: 9 new_width: 9 } transform_param { crop_size: 8 }"),
            (1, 3, 8, 8),
        ),
        (data("MemoryData", "memory_data_param { batch_size: 2 channels: 1 height: 20 width: 24 }"), (1, 1, 20, 24)),
        (data("DummyData", "dummy_data_param { num: 2 channels: 1 height: 20 width: 24 num: 3 }"), (2, 1, 20, 24)),
        (data("DummyData", "dummy_data_param { shape { dim: 2 dim: 1 dim: 20 dim: 24 } }"), (2, 1, 20, 24)),
        (data("HDF5Data", "hdf5_data_param { source: 'x' }"), (1, 0, 0, 0)),
        (data("Python", "python_param { module: 'm' }"), (1, 0, 0, 0)),
        (data("Data", "transform_param { force_gray: true }"), (1, 1, 0, 0)),
    ],
)
def test_the_size_is_the_files(files, source, shape):
    """Stated anywhere, it decides how many weights a fully connected layer has; channels may come from the weights."""
    height, width = shape[2] or 20, shape[3] or 24
    channels = shape[1] or 2
    places = (height - 4) * (width - 4)
    paths = files(source + LENET, conv=[(2, channels, 5, 5), (2,)], ip=[(3, 2 * places), (3,)])
    assert caffe.read_network(paths[0]).shapes["data"] == shape
    layers, params = caffe.load(*paths, size=None if shape[2] else (20, 24))
    assert layers[0].options == {"channels": channels} and len(layers) == 3
    assert params["ip_weight"].shape == (3, 2 * places)


def test_another_size_is_an_option_and_what_does_not_fit_names_it(files, tmp_path, capsys):
    paths = files(data("Python", "") + LENET, conv=[(2, 3, 5, 5), (2,)], ip=[(3, 2 * 16 * 20), (3,)])
    with pytest.raises(ConvertError, match=r"ip_weight: file \(3, 640\), network \(3, 96800\)") as error:
        caffe.load(*paths)
    assert "data (1, 3, 224, 224) (assumed, as the prototxt states no size)" in str(error.value)
    assert "--size HEIGHT WIDTH" in str(error.value)
    command = ["import", "--prototxt", paths[0], "--caffemodel", paths[1], "--prefix", str(tmp_path / "out")]
    assert caffe.main(command) == 1 and "--size HEIGHT WIDTH" in capsys.readouterr().err
    assert caffe.main([*command, "--size", "20", "24"]) == 0


def test_kernels_larger_than_the_image_name_the_option(files):
    """An unpadded dilated network takes large images; it states 900, and at 224 nothing would be left."""
    text = """layer { name: "c" type: "Convolution" bottom: "data" top: "c"
        convolution_param { num_output: 2 kernel_size: 7 dilation: 40 } }"""
    source = 'input: "data" input_dim: 1 input_dim: 3 input_dim: 300 input_dim: 300 '
    paths = files(source + text, c=[(2, 3, 7, 7), (2,)])
    assert [layer.name for layer in caffe.load(*paths)[0]] == ["data", "c"]
    paths = files(data("Python", "") + text, c=[(2, 3, 7, 7), (2,)])
    with pytest.raises(ConvertError, match=r"do not fit together.*\n.*--size HEIGHT WIDTH") as error:
        caffe.load(*paths)
    assert str(error.value).startswith(paths[0])
    assert caffe.load(*paths, size=(300, 300))


# --------------------------------------------------------------------------------------- phases and training files

RELU = 'layer { name: "%s" type: "ReLU" bottom: "data" top: "data" %s }\n'
INPUT = 'input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8\n'


@pytest.mark.parametrize(
    "rule, present",
    [
        ("include { phase: TEST }", True),
        ("include { phase: 1 }", True),
        ("include { phase: TRAIN }", False),
        ("include { phase: TRAIN } include { phase: TEST }", True),
        ("exclude: { phase: 0 }", True),
        ("exclude { phase: TEST }", False),
        ("include { stage: 'deploy' }", True),
        ("include { stage: 'deploy' stage: 'val' }", False),
        ("include { not_stage: 'deploy' }", False),
        ("include { min_level: 2 }", True),
        ("include { min_level: 3 }", False),
        ("include { max_level: 1 }", False),
        ("phase: TRAIN", True),
    ],
)
def test_rules_of_include_and_exclude(files, rule, present):
    path, _ = files(INPUT + "state { level: 2 stage: 'deploy' }" + RELU % ("a", "") + RELU % ("b", rule))
    assert [layer.name for layer in caffe.load_network(path)] == ["data", "a"] + ["b"] * present


def test_a_training_file_imports_without_its_training(files, caplog):
    """Data of the other phase alone, a loss without a top, an accuracy, a silenced label."""
    text = (
        data("Data", "include { phase: TRAIN } transform_param { crop_size: 8 }", ["data", "label", "weight"])
        + """layer { name: "c" type: "Convolution" bottom: "data" top: "c"
          convolution_param { num_output: 2 kernel_size: 1 } }
        layer { name: "l" type: "SoftmaxWithLoss" bottom: "c" bottom: "label" }
        layer { name: "a" type: "Accuracy" bottom: "c" bottom: "label" top: "a" }
        layer { name: "s" type: "Silence" bottom: "weight" }"""
    )
    paths = files(text, c=[(2, 3, 1, 1), (2,)], aux=[(9, 9)])
    with caplog.at_level(logging.INFO):
        layers, params = caffe.load(*paths)
    assert [layer.name for layer in layers] == ["data", "c"] and set(params) == {"c_weight", "c_bias"}
    assert "only training needs them: l, a" in caplog.text and "has no such layers: aux" in caplog.text
    assert caffe.load_network(paths[0])[4].top == "l"
    assert caffe.symbol(layers).list_outputs() == ["c_output"]


def test_what_is_silenced_is_no_output(files):
    text = """layer { name: "s" type: "Slice" bottom: "data" top: "a" top: "b" slice_param { slice_point: 1 } }
        layer { name: "q" type: "Silence" bottom: "b" }"""
    paths = files(INPUT + text, unused=[(1,)])
    assert caffe.symbol(caffe.load_network(paths[0])).list_outputs() == ["s_0_output"]
    labelled = data("Data", "transform_param { crop_size: 8 }") + text + 'layer { type: "Silence" bottom: "label" }'
    layers, _ = caffe.load(*files(labelled, unused=[(1,)]))
    assert caffe.symbol(layers).list_outputs() == ["s_0_output"]
    assert [layer.name for layer in layers] == ["data", "s_0", "s_1", "q"]


# ------------------------------------------------------------------------------------------------- generations


def test_the_generation_of_2013_says_the_same(files):
    """As a whole, with its padding layer, its data layer and its spellings."""
    old, _ = files("""
        layers { layer { name: "d" type: "data" source: "x" batchsize: 4 cropsize: 20 } top: "data" top: "label" }
        layers { layer { name: "pad" type: "padding" pad: 2 } bottom: "data" top: "p" }
        layers { layer { name: "c" type: "conv" num_output: 4 kernelsize: 3 stride: 2 biasterm: false group: 1
          weight_filler { type: "gaussian" } blobs_lr: 1. blobs_lr: 2. weight_decay: 1 weight_decay: 0 }
          bottom: "p" top: "c" }
        layers { layer { name: "r" type: "relu" } bottom: "c" top: "c" }
        layers { layer { name: "n" type: "lrn" local_size: 3 alpha: 0.5 beta: 0.7 } bottom: "c" top: "n" }
        layers { layer { name: "p1" type: "pool" pool: 1 kernelsize: 2 stride: 2 } bottom: "n" top: "p1" }
        layers { layer { name: "o" type: "dropout" dropout_ratio: 0.25 } bottom: "p1" top: "p1" }
        layers { layer { name: "f" type: "innerproduct" num_output: 5 } bottom: "p1" top: "f" }
        layers { layer { name: "loss" type: "softmax_loss" } bottom: "f" bottom: "label" }""")
    found = caffe.read_network(old)
    new, _ = files(
        data("Data", "transform_param { crop_size: 20 }")
        + """layer { name: "c" type: "Convolution" bottom: "data" top: "c"
          param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
          convolution_param { num_output: 4 kernel_size: 3 stride: 2 pad: 2 bias_term: false } }
        layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
        layer { name: "n" type: "LRN" bottom: "c" top: "n" lrn_param { local_size: 3 alpha: 0.5 beta: 0.7 } }
        layer { name: "p1" type: "Pooling" bottom: "n" top: "p1" pooling_param { pool: AVE kernel_size: 2 stride: 2 } }
        layer { name: "o" type: "Dropout" bottom: "p1" top: "p1" dropout_param { dropout_ratio: 0.25 } }
        layer { name: "f" type: "InnerProduct" bottom: "p1" top: "f" inner_product_param { num_output: 5 } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "f" bottom: "label" top: "loss" }"""
    )
    assert found == caffe.read_network(new)
    for text, message in (
        ('layers { layer { name: "x" type: "im2col" } bottom: "data" top: "x" }', "layer 'x' .line 2.: type 'Im2col'"),
        ('layers { layer { name: "x" type: "relu" gain: 1 } bottom: "data" top: "x" }', "gain is not supported"),
    ):
        path, _ = files(INPUT + text)
        with pytest.raises(ConvertError, match=message):
            caffe.load_network(path)


def nested(number, *parts):
    return head(number, sum(map(len, parts))) + b"".join(parts)


def test_weights_of_2013(tmp_path):
    """Their arrays lie inside an inner layer under other numbers; the type is a word."""
    path = tmp_path / "old.caffemodel"
    floats = np.arange(6, dtype="<f4").tobytes()
    shape = b"".join(encode_varint(i << 3) + encode_varint(n) for i, n in zip((1, 2, 3, 4), (1, 1, 2, 3)))
    inner = nested(
        1, encode_text(1, "f"), encode_text(2, "innerproduct"), nested(50, shape, head(5, len(floats)), floats)
    )
    path.write_bytes(nested(2, inner, encode_text(2, "data"), encode_text(3, "f")))
    (layer,) = caffemodel.read(str(path))
    assert layer.name == "f" and layer.type == "InnerProduct"
    np.testing.assert_array_equal(layer.blobs[0], np.arange(6).reshape(2, 3))


# --------------------------------------------------------------------------------------------- arrays and export


def test_statistics_are_divided_by_their_factor(tmp_path):
    path = str(tmp_path / "bn.caffemodel")
    for factor, share in ((4, 0.25), (0, 0)):
        caffemodel.write(
            path, [BlobLayer("bn", "BatchNorm", (np.float32([8, 4]), np.float32([2, 1]), np.float32([factor])))]
        )
        found = caffe.load_params(path)
        np.testing.assert_array_equal(found["bn_mean"], [8 * share, 4 * share])
        np.testing.assert_array_equal(found["bn_var"], [2 * share, share])


def test_vectors_of_the_year_in_between_lose_their_ones(tmp_path):
    """A newer layer whose shape is still the older four numbers."""
    path = tmp_path / "prelu.caffemodel"
    floats = np.arange(3, dtype="<f4").tobytes()
    shape = b"".join(encode_varint(i << 3) + encode_varint(n) for i, n in zip((1, 2, 3, 4), (1, 1, 1, 3)))
    blob = nested(7, shape, head(5, len(floats)), floats)
    path.write_bytes(nested(100, encode_text(1, "p"), encode_text(2, "PReLU"), blob))
    assert caffe.load_params(str(path))["p_weight"].shape == (3,)


def test_what_is_exported_reads_the_same(files, tmp_path):
    """Types that only networks of others have go out as they came in."""
    text = """layer { name: "c" type: "Convolution" bottom: "data" top: "c"
          convolution_param { num_output: 4 kernel_h: 3 kernel_w: 1 pad_h: 1 pad_w: 0 stride: 1 dilation: 1 } }
        layer { name: "bn" type: "BatchNorm" bottom: "c" top: "bn" batch_norm_param { eps: 0.001 } }
        layer { name: "sc" type: "Scale" bottom: "bn" top: "bn" scale_param { bias_term: true } }
        layer { name: "pr" type: "PReLU" bottom: "bn" top: "pr" }
        layer { name: "lr" type: "ReLU" bottom: "pr" top: "lr" relu_param { negative_slope: 0.5 } }
        layer { name: "po" type: "Pooling" bottom: "lr" top: "po" pooling_param { pool: AVE kernel_size: 2 stride: 2 } }
        layer { name: "pw" type: "Power" bottom: "po" top: "pw" power_param { power: 2 shift: 1 } }
        layer { name: "el" type: "Eltwise" bottom: "pw" bottom: "po" top: "el" eltwise_param { operation: MAX } }
        layer { name: "cc" type: "Concat" bottom: "el" bottom: "po" top: "cc" concat_param { axis: 2 } }
        layer { name: "sm" type: "Softmax" bottom: "cc" top: "sm" softmax_param { axis: 2 } }
        layer { name: "re" type: "Reshape" bottom: "sm" top: "re"
          reshape_param { shape { dim: 0 dim: 4 dim: -1 dim: 2 } } }
        layer { name: "gp" type: "Pooling" bottom: "re" top: "gp" pooling_param { pool: AVE global_pooling: true } }
        layer { name: "gm" type: "Pooling" bottom: "gp" top: "gm" pooling_param { global_pooling: true } }"""
    path, _ = files(INPUT + text)
    layers, shapes = caffe.read_network(path)
    params = {n: np.full(shape, 0.5, np.float32) for n, shape in caffe.param_shapes(layers, shapes).items()}
    paths = caffe.export(layers, params, str(tmp_path / "out"), shapes)
    again, weights = caffe.load(*paths)
    assert again == layers
    assert weights.keys() == params.keys() and all((weights[n] == params[n]).all() for n in params)
