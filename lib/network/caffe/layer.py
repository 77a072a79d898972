"""Networks as tables of layers, in Caffe's terms.

The networks that come from Caffe are written as a list of `Layer` rows. One list serves every purpose: it becomes an
MXNet symbol (`lib.network.caffe.compose`), its crop offsets are computed from it (`lib.network.caffe.coordinates`),
it is written as a prototxt and read from one (`lib.convert.caffe_layers`).

The functions below make the rows. Blobs are named as in Caffe: a layer whose `top` is its bottom works in place and
later rows see its result under the same name.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple, Union

Mults = Tuple[Tuple[float, float], ...]

WEIGHT_AND_BIAS: Mults = ((1.0, 1.0), (2.0, 0.0))
"""Learning-rate and decay multipliers of (weight, bias) that most Caffe networks state for a convolution."""

# Decay 1 is what the published files leave unsaid; at a rate of 0 it does nothing.
FIXED: Mults = ((0.0, 1.0),)
"""One array that never learns."""

NO_DECAY: Mults = ((1.0, 0.0), (1.0, 0.0))
"""Two arrays that learn and do not decay."""

PARAM_SUFFIXES = ("weight", "bias")
"""Array i of layer `x` is called `x_weight`, `x_bias`."""


class Layer(NamedTuple):
    """One layer. mults: (learning rate, decay) multiplier of each of its arrays; those not stated are (1, 1)."""

    name: str
    type: str
    bottoms: Tuple[str, ...]
    top: str
    options: Dict[str, Any]
    mults: Mults = ()

    def array_names(self) -> List[str]:
        """Names of the layer's arrays, `<layer>_weight` and `<layer>_bias`, in the order of a caffemodel's blobs."""
        if self.type not in LEARNED_TYPES:
            return [f"{self.name}_{suffix}" for suffix in OTHER_ARRAYS.get(self.type, ())]
        return [f"{self.name}_{suffix}" for suffix in PARAM_SUFFIXES[: 1 + bool(self.options["bias"])]]


LEARNED_TYPES = ("Convolution", "Deconvolution", "InnerProduct", "Scale", "GroupNorm", "BatchNorm")

OTHER_ARRAYS = {"PReLU": ("weight",), "Bias": ("weight",), "StoredNorm": ("mean", "var")}
"""Last words of the arrays' names of types that have no option `bias`."""

Size = Union[int, Tuple[int, int]]
"""A kernel, stride, padding, dilation or offset: one number, or (vertical, horizontal) where they differ."""


def both(size: Size) -> Tuple[int, int]:
    """(vertical, horizontal)."""
    return size if isinstance(size, tuple) else (size, size)


def data(name: str, channels: int = 0) -> Layer:
    """A network input (N, channels, H, W); 0 channels when unknown."""
    return Layer(name, "Input", (), name, {"channels": channels})


def convolution(
    name: str,
    bottom: str,
    num_output: int,
    kernel: Size,
    stride: Size = 1,
    pad: Size = 0,
    group: int = 1,
    bias: bool = True,
    dilation: Size = 1,
    mults: Mults = (),
) -> Layer:
    """Output size floor((n + 2 pad - kernel) / stride) + 1; weight (num_output, C/group, kernel, kernel)."""
    options = {
        "num_output": num_output,
        "kernel": kernel,
        "stride": stride,
        "pad": pad,
        "group": group,
        "bias": bias,
        "dilation": dilation,
    }
    return Layer(name, "Convolution", (bottom,), name, options, mults)


def deconvolution(
    name: str,
    bottom: str,
    num_output: int,
    kernel: Size,
    stride: Size,
    pad: Size = 0,
    group: int = 1,
    bias: bool = False,
    mults: Mults = FIXED,
    dilation: Size = 1,
) -> Layer:
    """Output size (n - 1) stride + kernel - 2 pad; weight (C, num_output/group, kernel, kernel)."""
    options = {"num_output": num_output, "kernel": kernel, "stride": stride, "pad": pad, "group": group, "bias": bias}
    if dilation != 1:
        options["dilation"] = dilation
    return Layer(name, "Deconvolution", (bottom,), name, options, mults)


def inner_product(name: str, bottom: str, num_output: int, bias: bool = True, mults: Mults = ()) -> Layer:
    """Fully connected layer; weight (num_output, everything but N)."""
    return Layer(name, "InnerProduct", (bottom,), name, {"num_output": num_output, "bias": bias}, mults)


def scale(name: str, bottom: str, value: float = 1.0, bias: bool = False, mults: Mults = ()) -> Layer:
    """One factor per channel, all `value` at the start; weight (C,)."""
    return Layer(name, "Scale", (bottom,), name, {"value": value, "bias": bias}, mults)


def group_norm(name: str, blob: str, groups: int) -> Layer:
    """Mean 0 and variance 1 over each of `groups` groups of channels of an image (Wu and He, ECCV 2018); in place.

    Then a factor, weight (C,), and an offset, bias (C,), neither of which decays. Caffe has no such layer.
    """
    return Layer(name, "GroupNorm", (blob,), blob, {"groups": groups, "value": 1.0, "bias": True}, NO_DECAY)


def batch_norm(name: str, blob: str) -> Layer:
    """Mean 0 and variance 1 of each channel over a batch's images and places (Ioffe and Szegedy, ICML 2015); in place.

    Then factor and offset as of `group_norm`. Running averages take the place of the batch's statistics in testing.
    """
    return Layer(name, "BatchNorm", (blob,), blob, {"value": 1.0, "bias": True}, NO_DECAY)


def mean_pooling(name: str, bottom: str) -> Layer:
    """Mean over all places, (N, C, 1, 1)."""
    return Layer(name, "MeanPooling", (bottom,), name, {})


def max_pooling(name: str, bottom: str, kernel: Size, stride: Size, pad: Size = 0) -> Layer:
    """Maximum with Caffe's ceiling rule: size ceil((n + 2 pad - kernel) / stride) + 1."""
    return Layer(name, "Pooling", (bottom,), name, {"kernel": kernel, "stride": stride, "pad": pad})


# Caffe's defaults; AlexNet states an alpha of its own.
def lrn(name: str, bottom: str, size: int = 5, alpha: float = 1.0, beta: float = 0.75, k: float = 1.0) -> Layer:
    """x / (k + alpha/size * sum of squares over `size` neighbouring channels) ** beta."""
    return Layer(name, "LRN", (bottom,), name, {"size": size, "alpha": alpha, "beta": beta, "k": k})


def relu(name: str, blob: str) -> Layer:
    """max(x, 0), in place."""
    return Layer(name, "ReLU", (blob,), blob, {})


def dropout(name: str, blob: str, ratio: float = 0.5) -> Layer:
    """Zero with probability `ratio` and scale the rest by 1/(1 - ratio) in training; in place."""
    return Layer(name, "Dropout", (blob,), blob, {"ratio": ratio})


def softmax(name: str, bottom: str) -> Layer:
    """Softmax over channels."""
    return Layer(name, "Softmax", (bottom,), name, {})


def eltwise_sum(name: str, bottoms: Sequence[str], coefficients: Sequence[float] = ()) -> Layer:
    """Sum of blobs of one shape, weighted when coefficients are given."""
    return Layer(name, "Eltwise", tuple(bottoms), name, {"coefficients": tuple(coefficients)})


def concat(name: str, bottoms: Sequence[str]) -> Layer:
    """Blobs behind each other along channels."""
    return Layer(name, "Concat", tuple(bottoms), name, {})


def crop(name: str, bottom: str, like: str, offset: Size) -> Layer:
    """The window of `bottom` that starts `offset` pixels from its top left corner and has the size of `like`."""
    return Layer(name, "Crop", (bottom, like), name, {"offset": offset})


def softmax_loss(name: str, score: str, label: str, normalization: str, ignore_label: int = -1) -> Layer:
    """Pixelwise cross entropy; see `lib.network.loss` for `normalization`. -1 ignores no label."""
    options = {"normalization": normalization, "ignore_label": ignore_label}
    return Layer(name, "SoftmaxWithLoss", (score, label), name, options)


def inputs(layers: Sequence[Layer]) -> Dict[str, int]:
    """Channels of every network input by name, in order."""
    return {layer.name: layer.options["channels"] for layer in layers if layer.type == "Input"}


def without(layers: Sequence[Layer], *types: str) -> List[Layer]:
    """The rows whose type is not among `types`, for rows that work in place or end the network."""
    return [layer for layer in layers if layer.type not in types]
