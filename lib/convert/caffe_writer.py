"""Rows of `lib.network.caffe.layer` as Caffe's layer definitions, for a prototxt."""

from __future__ import annotations

from typing import Dict, Mapping, Sequence, Tuple

from fullconv.lib.convert.prototxt import Message, Word
from fullconv.lib.network.caffe.layer import Layer

_WRITTEN: Dict[str, Tuple[str, Dict[str, str]]] = {
    "Convolution": (
        "convolution_param",
        {
            "num_output": "num_output",
            "kernel": "kernel_size",
            "stride": "stride",
            "pad": "pad",
            "group": "group",
            "bias": "bias_term",
            "dilation": "dilation",
        },
    ),
    "Deconvolution": (
        "convolution_param",
        {
            "num_output": "num_output",
            "kernel": "kernel_size",
            "stride": "stride",
            "pad": "pad",
            "group": "group",
            "bias": "bias_term",
        },
    ),
    "InnerProduct": ("inner_product_param", {"num_output": "num_output", "bias": "bias_term"}),
    "Pooling": ("pooling_param", {"kernel": "kernel_size", "stride": "stride", "pad": "pad"}),
    "LRN": ("lrn_param", {"size": "local_size", "alpha": "alpha", "beta": "beta", "k": "k"}),
    "Dropout": ("dropout_param", {"ratio": "dropout_ratio"}),
    "Eltwise": ("eltwise_param", {"coefficients": "coeff"}),
    "Crop": ("crop_param", {"offset": "offset"}),
    "Scale": ("scale_param", {"bias": "bias_term"}),
}
"""Type -> (its message, option -> field)."""

_REFUSED = {
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
    message = Message().add("name", layer.name).add("type", layer.type)
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
        message.add(_WRITTEN[layer.type][0], _write_options(layer))
    return message


def _write_options(layer: Layer) -> Message:
    param = Message()
    for option, field in _WRITTEN[layer.type][1].items():
        value = layer.options[option]
        for item in value if isinstance(value, tuple) else (value,):
            param.add(field, item)
    if layer.type == "Scale":
        param.add("filler", Message().add("type", "constant").add("value", layer.options["value"]))
    if layer.type == "Pooling":
        param.add("pool", Word("MAX"))
    if layer.type == "Crop":
        param.add("axis", 2)
    return param
