"""Rows of `lib.network.caffe.layer` as Caffe's layer definitions, for a prototxt."""

from __future__ import annotations

from typing import Dict, Mapping, Sequence, Tuple

from fullconv.lib.convert.prototxt import Message, Word
from fullconv.lib.network.caffe.layer import Layer

_CONVOLUTION = {
    "num_output": "num_output",
    "kernel": "kernel_size",
    "stride": "stride",
    "pad": "pad",
    "group": "group",
    "bias": "bias_term",
    "dilation": "dilation",
}
_LINE = {"scale": "scale", "shift": "shift"}

_WRITTEN: Dict[str, Tuple[str, Dict[str, str]]] = {
    "Convolution": ("convolution_param", _CONVOLUTION),
    "Deconvolution": ("convolution_param", _CONVOLUTION),
    "InnerProduct": ("inner_product_param", {"num_output": "num_output", "bias": "bias_term"}),
    "Pooling": ("pooling_param", {"kernel": "kernel_size", "stride": "stride", "pad": "pad"}),
    "MeanPooling": ("pooling_param", {}),
    "GlobalMaxPooling": ("pooling_param", {}),
    "LRN": ("lrn_param", {"size": "local_size", "alpha": "alpha", "beta": "beta", "k": "k"}),
    "ReLU": ("relu_param", {"slope": "negative_slope"}),
    "PReLU": ("prelu_param", {"shared": "channel_shared"}),
    "ELU": ("elu_param", {"alpha": "alpha"}),
    "Power": ("power_param", {"power": "power", **_LINE}),
    "Exp": ("exp_param", {"base": "base", **_LINE}),
    "Log": ("log_param", {"base": "base", **_LINE}),
    "Threshold": ("threshold_param", {"threshold": "threshold"}),
    "Dropout": ("dropout_param", {"ratio": "dropout_ratio"}),
    "Softmax": ("softmax_param", {"axis": "axis"}),
    "Eltwise": ("eltwise_param", {"coefficients": "coeff"}),
    "Concat": ("concat_param", {"axis": "axis"}),
    "ArgMax": ("argmax_param", {"axis": "axis"}),
    "Crop": ("crop_param", {"offset": "offset"}),
    "StoredNorm": ("batch_norm_param", {"eps": "eps"}),
    "Scale": ("scale_param", {"bias": "bias_term"}),
}
"""Type -> (its message, option -> field). An option that a row does not have is not written."""

_TYPES = {"StoredNorm": "BatchNorm", "MeanPooling": "Pooling", "GlobalMaxPooling": "Pooling"}
"""Types whose name in Caffe is another."""

_WORDS: Dict[str, Dict[str, Word]] = {
    "Pooling": {"pool": Word("MAX")},
    "MeanPooling": {"pool": Word("AVE"), "global_pooling": Word("true")},
    "GlobalMaxPooling": {"pool": Word("MAX"), "global_pooling": Word("true")},
    "StoredNorm": {"use_global_stats": Word("true")},
}
"""What a type states besides its options."""

_REFUSED = {
    "BatchNorm": "its statistics are not exported; it belongs to the classifier that a training starts from",
    "Slice": "its several tops are not exported",
    "Split": "its several tops are not exported; use the blob itself",
    "Silence": "leave it out",
    "SoftmaxWithLoss": "losses are not exported; leave them out",
    "GroupNorm": "Caffe has no GroupNorm; train with network.norm false to export",
}
"""Type -> why it is not written."""


def write_layers(layers: Sequence[Layer], shapes: Mapping[str, Sequence[int]], name: str) -> Message:
    """A network message of rows; shapes: (N, C, H, W) of every input.

    Raises:
        ValueError: an input without shape, or a layer that only training needs or that Caffe does not have.
    """
    net = Message().add("name", name)
    for layer in layers:
        if layer.type == "Input" and layer.name not in shapes:
            raise ValueError(f"input {layer.name!r}: its shape is needed to write a prototxt")
        if layer.type in _REFUSED:
            raise ValueError(f"layer {layer.name!r}: {_REFUSED[layer.type]}")
        net.add("layer", _write_layer(layer, shapes))
    return net


def _write_layer(layer: Layer, shapes: Mapping[str, Sequence[int]]) -> Message:
    message = Message().add("name", layer.name).add("type", written_type(layer))
    for bottom in layer.bottoms:
        message.add("bottom", bottom)
    message.add("top", layer.top)
    for lr, decay in layer.mults:
        message.add("param", Message().add("lr_mult", lr).add("decay_mult", decay))
    if layer.type == "Input":
        shape = Message()
        for length in shapes[layer.name]:
            shape.add("dim", int(length))
        message.add("input_param", Message().add("shape", shape))
    elif layer.type in _WRITTEN:
        param = _write_options(layer)
        if param.fields:
            message.add(_WRITTEN[layer.type][0], param)
    elif layer.type == "Reshape":
        shape = Message()
        for length in layer.options["shape"]:
            shape.add("dim", length)
        message.add("reshape_param", Message().add("shape", shape))
    return message


def written_type(layer: Layer) -> str:
    """What Caffe calls the layer's type."""
    return _TYPES.get(layer.type, layer.type)


def _write_options(layer: Layer) -> Message:
    param, options = Message(), layer.options
    for option, field in _WRITTEN[layer.type][1].items():
        value = options.get(option, ())
        # A tuple is a repeated field: two sizes of a kernel, or coefficients.
        for item in value if isinstance(value, tuple) else (value,):
            param.add(field, item)
    for field, word in _WORDS.get(layer.type, {}).items():
        # Maximum unless the row says otherwise.
        param.add(field, Word(options.get("method", word)) if field == "pool" else word)
    # Written although weights follow, so that the file alone starts at the row's value.
    if layer.type == "Scale":
        param.add("filler", Message().add("type", "constant").add("value", options["value"]))
    if layer.type == "Eltwise" and "operation" in options:
        param.add("operation", Word(options["operation"]))
    if layer.type == "Crop":
        # Caffe's default, stated so that the file says that height and width are cropped.
        param.add("axis", 2)
    return param
