"""Every layer type and spelling computes what Caffe computes: against OpenCV's dnn module, which reads the same bytes
independently, and against the formula in numpy where OpenCV does not read it or reads it otherwise."""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional

import cv2
import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.convert import caffe, caffemodel
from fullconv.lib.convert.caffemodel import BlobLayer

TOLERANCE = 1e-4
SHAPE = (1, 4, 9, 11)
INPUT = 'input: "data" input_dim: {} input_dim: {} input_dim: {} input_dim: {}\n'


class Case(NamedTuple):
    """Layers behind an input `data`. formula(image, parameters): what is right, where that is a line of numpy. engine:
    OpenCV reads it; it refuses Bias, ArgMax, Threshold and losses, takes no k in LRN, and no scale and shift in Log."""

    text: str
    formula: Optional[Callable] = None
    shape: tuple = SHAPE
    engine: bool = True


def one(kind, body="", **others):
    return Case(f'layer {{ name: "x" type: "{kind}" bottom: "data" top: "x" {body} }}', **others)


def conv(body, **others):
    return one("Convolution", f"convolution_param {{ num_output: 6 {body} }}", **others)


def pool(body, **others):
    return one("Pooling", f"pooling_param {{ {body} }}", **others)


CONV = """layer { name: "c" type: "Convolution" bottom: "data" top: "c"
  convolution_param { num_output: 6 kernel_size: 1 } }"""


def behind(text, **others):
    return Case(f"{CONV}\n{text}", **others)


def windows(x, method, kernel, stride, pad):
    """Caffe's pooling_layer.cpp, literally; each of the three is (vertical, horizontal)."""
    count = [int(np.ceil((n + 2 * p - k) / s)) + 1 for n, k, s, p in zip(x.shape[2:], kernel, stride, pad)]
    if any(pad):
        count = [c - 1 if (c - 1) * s >= n + p else c for c, n, s, p in zip(count, x.shape[2:], stride, pad)]
    out = np.zeros((*x.shape[:2], *count), np.float32)
    for i, j in np.ndindex(*count):
        start = [i * stride[0] - pad[0], j * stride[1] - pad[1]]
        end = [min(a + k, n + p) for a, k, n, p in zip(start, kernel, x.shape[2:], pad)]
        area = (end[0] - start[0]) * (end[1] - start[1])
        inside = x[:, :, max(start[0], 0) : end[0], max(start[1], 0) : end[1]]
        out[:, :, i, j] = inside.sum((2, 3)) / area if method == "AVE" else inside.max((2, 3))
    return out


def pooled(method, kernel, stride=1, pad=0):
    def both(n):
        return n if isinstance(n, tuple) else (n, n)

    return lambda x, p: windows(x, method, both(kernel), both(stride), both(pad))


def convolved(x, weight, bias):
    """A convolution of kernel 1."""
    return np.einsum("nchw,oc->nohw", x, weight[:, :, 0, 0]) + bias[:, None, None]


def normalised(x, size, alpha, beta, k):
    """LRN across channels."""
    squares = np.pad(np.square(x), ((0, 0), (size // 2,) * 2, (0, 0), (0, 0)))
    sums = sum(squares[:, i : i + x.shape[1]] for i in range(size))
    return x / (k + alpha / size * sums) ** beta


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


CASES = {
    "conv": conv("kernel_size: 3 pad: 1"),
    "conv without bias": conv("kernel_size: 3 bias_term: false"),
    "conv False": conv("kernel_size: 3 bias_term: False"),
    "conv 0 as a flag": conv("kernel_size: 3 bias_term: 0"),
    "conv kernel_h kernel_w": conv("kernel_h: 3 kernel_w: 1"),
    "conv stride_h stride_w": conv("kernel_size: 3 stride_h: 2 stride_w: 1"),
    "conv pad_h pad_w": conv("kernel_size: 3 pad_h: 2 pad_w: 1"),
    "conv two kernel_size": conv("kernel_size: 3 kernel_size: 5 pad: 1 pad: 2"),
    "conv dilated": conv("kernel_size: 3 dilation: 2 pad: 2"),
    "conv dilated otherwise": conv("kernel_size: 3 dilation: 2 dilation: 1"),
    "conv grouped": conv("kernel_size: 3 group: 2"),
    "conv engine as a number": conv("kernel_size: 3 engine: 2"),
    "conv hexadecimal": conv("kernel_size: 0x3 pad: 01"),
    "deconv": one("Deconvolution", "convolution_param { num_output: 3 kernel_size: 4 stride: 2 pad: 1 }"),
    "deconv grouped": one("Deconvolution", "convolution_param { num_output: 4 kernel_size: 4 stride: 2 group: 4 }"),
    "deconv rectangular": one("Deconvolution", "convolution_param { num_output: 3 kernel_h: 4 kernel_w: 2 stride: 2 }"),
    "inner product": one("InnerProduct", "inner_product_param { num_output: 5 }"),
    "inner product without bias": one("InnerProduct", "inner_product_param { num_output: 5 bias_term: false }"),
    "pool": pool("pool: MAX kernel_size: 2 stride: 2", formula=pooled("MAX", 2, 2)),
    "pool 0": pool("pool: 0 kernel_size: 3 stride: 2", formula=pooled("MAX", 3, 2)),
    "pool without stride": pool("kernel_size: 3", formula=pooled("MAX", 3)),
    "pool padded": pool("kernel_size: 3 stride: 2 pad: 1", formula=pooled("MAX", 3, 2, 1)),
    "pool rectangular": pool("kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 2", formula=pooled("MAX", (3, 2), (1, 2))),
    # The last window would begin in the padding, and Caffe leaves it out.
    "pool clipped": pool("kernel_size: 2 stride: 2 pad: 1", formula=pooled("MAX", 2, 2, 1)),
    "pool clipped 3/3": pool("kernel_size: 3 stride: 3 pad: 1", formula=pooled("MAX", 3, 3, 1), shape=(1, 2, 11, 8)),
    "pool clipped, small kernel": pool(
        "kernel_size: 2 stride: 3 pad: 1", formula=pooled("MAX", 2, 3, 1), shape=(1, 2, 7, 8)
    ),
    "pool clipped on one axis": pool("kernel_size: 2 stride: 2 pad_h: 1 pad_w: 0", formula=pooled("MAX", 2, 2, (1, 0))),
    "mean pool": pool("pool: AVE kernel_size: 2 stride: 2", formula=pooled("AVE", 2, 2), shape=(1, 3, 8, 10)),
    "mean pool 1": pool("pool: 1 kernel_size: 3", formula=pooled("AVE", 3)),
    "mean pool rounded up": pool(
        "pool: AVE kernel_size: 3 stride: 2", formula=pooled("AVE", 3, 2), shape=(1, 3, 8, 10)
    ),
    "mean pool padded": pool("pool: AVE kernel_size: 3 stride: 2 pad: 1", formula=pooled("AVE", 3, 2, 1)),
    "mean pool padded, rounded up": pool(
        "pool: AVE kernel_size: 3 stride: 2 pad: 1", formula=pooled("AVE", 3, 2, 1), shape=(2, 3, 8, 10)
    ),
    "mean pool padded far": pool(
        "pool: AVE kernel_size: 5 stride: 3 pad: 2", formula=pooled("AVE", 5, 3, 2), shape=(1, 3, 8, 9)
    ),
    "mean pool clipped": pool("pool: AVE kernel_size: 2 stride: 2 pad: 1", formula=pooled("AVE", 2, 2, 1)),
    "global mean pool": pool("pool: AVE global_pooling: true", formula=lambda x, p: x.mean((2, 3), keepdims=True)),
    "global max pool": pool("global_pooling: True pool: MAX", formula=lambda x, p: x.max((2, 3), keepdims=True)),
    "lrn": one("LRN", "lrn_param { local_size: 3 alpha: 0.5f beta: 0.75f }"),
    "lrn k": one(
        "LRN",
        "lrn_param { local_size: 5 alpha: 1e-1f beta: .5 k: 2 norm_region: 0 }",
        formula=lambda x, p: normalised(x, 5, 0.1, 0.5, 2),
        engine=False,
    ),
    "relu": one("ReLU", formula=lambda x, p: np.maximum(x, 0)),
    "leaky relu": one("ReLU", "relu_param { negative_slope: 0.1 }", formula=lambda x, p: np.where(x > 0, x, 0.1 * x)),
    "prelu": one("PReLU"),
    "prelu shared": one("PReLU", "prelu_param { channel_shared: true }"),
    "elu": one("ELU", "elu_param { alpha: 0.7 }", formula=lambda x, p: np.where(x > 0, x, 0.7 * np.expm1(x))),
    "sigmoid": one("Sigmoid", formula=lambda x, p: 1 / (1 + np.exp(-x))),
    "tanh": one("TanH", formula=lambda x, p: np.tanh(x)),
    "abs": one("AbsVal", formula=lambda x, p: np.abs(x)),
    "bnll": one("BNLL", formula=lambda x, p: np.log1p(np.exp(x))),
    "threshold": one("Threshold", "threshold_param { threshold: 0.2 }", formula=lambda x, p: x > 0.2, engine=False),
    "power": one("Power", "power_param { power: 2 scale: 0.5 shift: 1 }", formula=lambda x, p: (1 + 0.5 * x) ** 2),
    "power 1": one("Power", "power_param { scale: -1 }", formula=lambda x, p: -x),
    "power 0": one("Power", "power_param { power: 0 }", formula=lambda x, p: np.ones_like(x), engine=False),
    "exp": one("Exp", formula=lambda x, p: np.exp(x)),
    "exp base": one("Exp", "exp_param { base: 2 scale: .5 shift: 1 }", formula=lambda x, p: 2 ** (1 + 0.5 * x)),
    "log": one("Log", "log_param { scale: 0.1 shift: 3 }", formula=lambda x, p: np.log(3 + 0.1 * x), engine=False),
    "log base": one(
        "Log", "log_param { base: 10 scale: 0 shift: 3 }", formula=lambda x, p: 0 * x + np.log10(3), engine=False
    ),
    "dropout": one("Dropout", "dropout_param { dropout_ratio: 0.3 }", formula=lambda x, p: x),
    "softmax": one("Softmax", formula=lambda x, p: softmax(x, 1)),
    "softmax axis": one("Softmax", "softmax_param { axis: 2 }", formula=lambda x, p: softmax(x, 2)),
    "softmax last axis": one("Softmax", "softmax_param { axis: -1 }", formula=lambda x, p: softmax(x, 3)),
    "argmax": one("ArgMax", "argmax_param { axis: 1 }", formula=lambda x, p: x.argmax(1)[:, None], engine=False),
    "batch norm": one("BatchNorm", "batch_norm_param { eps: 1e-3 }"),
    "scale": one("Scale", "scale_param { bias_term: true }"),
    "scale without bias": one("Scale"),
    "bias": one("Bias", formula=lambda x, p: x + p["x_weight"].reshape(1, -1, 1, 1), engine=False),
    "batch norm and scale": Case(
        """layer { name: "x" type: "BatchNorm" bottom: "data" top: "x" param { lr_mult: 0 } batch_norm_param {} }
        layer { name: "y" type: "Scale" bottom: "x" top: "x" scale_param { bias_term: true filler { value: 1 } } }"""
    ),
    "per channel behind inner product": Case(
        """layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 5 } }
        layer { name: "n" type: "BatchNorm" bottom: "ip" top: "ip" }
        layer { name: "s" type: "Scale" bottom: "ip" top: "ip" scale_param { bias_term: true } }
        layer { name: "p" type: "PReLU" bottom: "ip" top: "ip" }"""
    ),
    "sum": behind(
        """layer { name: "d" type: "TanH" bottom: "c" top: "d" }
        layer { name: "x" type: "Eltwise" bottom: "c" bottom: "d" top: "x"
          eltwise_param { operation: 1 coeff: 1 coeff: -2 } }"""
    ),
    "product": Case(
        'layer { name: "x" type: "Eltwise" bottom: "data" bottom: "data" top: "x" eltwise_param { operation: 0 } }',
        formula=lambda x, p: np.square(x),
    ),
    "maximum": behind(
        """layer { name: "d" type: "AbsVal" bottom: "c" top: "d" }
        layer { name: "x" type: "Eltwise" bottom: "c" bottom: "d" top: "x" eltwise_param { operation: MAX } }"""
    ),
    "concat": behind('layer { name: "x" type: "Concat" bottom: "c" bottom: "data" top: "x" }'),
    "concat axis": Case(
        'layer { name: "x" type: "Concat" bottom: "data" bottom: "data" top: "x" concat_param { axis: 2 } }',
        formula=lambda x, p: np.concatenate([x, x], 2),
    ),
    "flatten": one("Flatten", formula=lambda x, p: x.reshape(len(x), -1)),
    "reshape": one(
        "Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 33 } }", formula=lambda x, p: x.reshape(1, 12, 33)
    ),
    "reshape axis": one(
        "Reshape", "reshape_param { shape { dim: 2 dim: -1 } axis: 1 }", formula=lambda x, p: x.reshape(1, 2, -1)
    ),
    "slice": Case(
        """layer { name: "s" type: "Slice" bottom: "data" top: "a" top: "b" slice_param { axis: 1 slice_point: 1 } }
        layer { name: "k" type: "Silence" bottom: "a" }
        layer { name: "x" type: "Scale" bottom: "b" top: "x" }""",
    ),
    "slice in equal parts": Case(
        """layer { name: "s" type: "Slice" bottom: "data" top: "a" top: "b" }
        layer { name: "x" type: "Concat" bottom: "b" bottom: "a" top: "x" }""",
        formula=lambda x, p: np.concatenate([x[:, 2:], x[:, :2]], 1),
    ),
    "split": Case(
        """layer { name: "s" type: "Split" bottom: "data" top: "a" top: "b" }
        layer { name: "r" type: "ReLU" bottom: "a" top: "a" }
        layer { name: "x" type: "Eltwise" bottom: "a" bottom: "b" top: "x" }""",
        formula=lambda x, p: np.maximum(x, 0) + x,
    ),
    "crop": behind(
        """layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 5 } }
        layer { name: "x" type: "Crop" bottom: "data" bottom: "p" top: "x"
          crop_param { axis: 2 offset: 1 offset: 3 } }""",
        formula=lambda x, p: x[:, :, 1:6, 3:10],
    ),
    "spellings": Case(
        """# a comment
        layer < name: 'c' "1", type: "Conv" 'olution'; bottom: "d\\141ta" top: "\\x63"  # another
          convolution_param: { num_output: 6, kernel_size: [3, 1] } >
        layer { name: "r" type: "ReLU" bottom: "c" top: "c" relu_param { negative_slope: 2.5e-1f } }"""
    ),
    "a training file": behind(
        """layer { name: "r" type: "ReLU" bottom: "c" top: "c" include { phase: 0 } }
        layer { name: "t" type: "TanH" bottom: "c" top: "c" include: { phase: TEST } }
        layer { name: "u" type: "TanH" bottom: "c" top: "c" include { phase: TEST stage: "never" } }
        layer { name: "l" type: "EuclideanLoss" bottom: "c" bottom: "data" include { phase: TRAIN } }""",
        formula=lambda x, p: np.tanh(convolved(x, p["c_weight"], p["c_bias"])),
        engine=False,
    ),
    "generation of 2014": Case(
        """layers { name: "c" type: CONVOLUTION bottom: "data" top: "c" blobs_lr: 1 blobs_lr: 2
          convolution_param { num_output: 6 kernel_size: 3 } }
        layers { name: "r" type: 18 bottom: "c" top: "c" }"""
    ),
    "generation of 2013": Case(
        """layers { layer { name: "c" type: "conv" num_output: 6 kernelsize: 3 pad: 1 biasterm: false }
          bottom: "data" top: "c" }
        layers { layer { name: "p" type: "pool" pool: AVE kernelsize: 2 stride: 2 } bottom: "c" top: "p" }
        layers { layer { name: "f" type: "innerproduct" num_output: 3 } bottom: "p" top: "f" }"""
    ),
}


def weights(layers, shapes):
    """A caffemodel's layers with random numbers, those that must be positive among them."""
    rng = np.random.RandomState(0)
    expected, found = caffe.param_shapes(layers, shapes), []
    for layer in layers:
        blobs = [rng.randn(*expected[name]).astype(np.float32) for name in layer.array_names()]
        if layer.type == "StoredNorm":
            blobs = [blobs[0], np.abs(blobs[1]), np.float32([2])]
        found.append(BlobLayer(layer.name, caffe.written_type(layer), tuple(blobs), layer.bottoms, (layer.top,)))
    return found


def forward(layers, params, image):
    symbol = caffe.symbol(layers)
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=image.shape)
    executor.copy_params_from({name: mx.nd.array(array) for name, array in params.items()})
    return executor.forward(is_train=False, data=mx.nd.array(image))[0].asnumpy()


@pytest.fixture
def run(tmp_path):
    """(our result, the two files' bytes, the image, the parameters) of a case."""

    def call(case):
        text = INPUT.format(*case.shape) + case.text
        paths = [tmp_path / "net.prototxt", tmp_path / "net.caffemodel"]
        paths[0].write_text(text)
        network = caffe.read_network(str(paths[0]))
        blobs = weights(network.layers, network.shapes)
        if not any(layer.blobs for layer in blobs):
            blobs.append(BlobLayer("unused", "Bias", (np.ones(1, np.float32),)))
        caffemodel.write(str(paths[1]), blobs)
        params = {name: array for name, array in caffe.load_params(str(paths[1])).items() if "unused" not in name}
        image = np.random.RandomState(1).randn(*case.shape).astype(np.float32)
        return forward(network.layers, params, image), [path.read_bytes() for path in paths], image, params

    return call


@pytest.mark.parametrize("case", [c for c in CASES.values() if c.engine], ids=[k for k, c in CASES.items() if c.engine])
def test_as_opencv_computes(run, case):
    ours, files, image, _ = run(case)
    net = cv2.dnn.readNetFromCaffe(*(np.frombuffer(content, np.uint8) for content in files))
    net.setInput(image, "data")
    theirs = net.forward()
    np.testing.assert_allclose(ours, theirs.reshape(ours.shape), rtol=0, atol=TOLERANCE)
    assert ours.size == theirs.size and np.ptp(ours) > 0.05


@pytest.mark.parametrize(
    "case", [c for c in CASES.values() if c.formula], ids=[k for k, c in CASES.items() if c.formula]
)
def test_as_the_formula_says(run, case):
    ours, _, image, params = run(case)
    expected = np.asarray(case.formula(image, params), np.float32)
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=TOLERANCE)


def test_of_equal_scores_the_last_one_counts(tmp_path):
    """As Caffe sorts pairs of (score, index); numpy and MXNet name the first."""
    path = tmp_path / "net.prototxt"
    path.write_text(INPUT.format(*SHAPE) + CASES["argmax"].text)
    image = np.random.RandomState(0).randint(0, 2, SHAPE).astype(np.float32)
    ours = forward(caffe.load_network(str(path)), {}, image)
    expected = SHAPE[1] - 1 - image[:, ::-1].argmax(1)[:, None]
    np.testing.assert_array_equal(ours, expected)
    assert (expected != image.argmax(1)[:, None]).any()
