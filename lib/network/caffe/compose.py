"""From a table of layers to MXNet symbols.

Differences of the two frameworks that are settled here: Caffe's pooling rounds sizes up; crops are counted from the
top left corner; Caffe's LRN has k = 1 where MXNet's default is 2; learning-rate and decay multipliers are stated for
every array, because MXNet's default exempts biases from decay and Caffe's does not.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Mapping, Optional, Sequence

import mxnet as mx

from fullconv.lib.network.caffe.layer import Layer
from fullconv.lib.network.loss import pixel_softmax_loss
from fullconv.lib.network.norm import NormSpec, normalize

Symbols = Dict[str, mx.sym.Symbol]


def compose(layers: Sequence[Layer], inputs: Optional[Mapping[str, mx.sym.Symbol]] = None) -> Symbols:
    """Symbols of all blobs by name; a blob that a layer changed in place is the changed one.

    inputs: what stands for an input (N, C, H, W), by its name; a variable of that name where there is nothing.
    Parameters are called `<layer>_weight` and `<layer>_bias`.

    Raises:
        ValueError: a layer of unknown type or with a bottom that no earlier layer made.
    """
    given = inputs or {}
    blobs: Symbols = {}
    channels: Dict[str, int] = {}
    for layer in _fold_relus(layers):
        missing = [blob for blob in layer.bottoms if blob not in blobs]
        if missing or layer.type not in _BUILDERS:
            known = ", ".join(sorted(_BUILDERS))
            reason = f"no earlier layer makes {missing[0]!r}" if missing else f"known types are {known}"
            raise ValueError(f"layer {layer.name!r} of type {layer.type}: {reason}")
        channels[layer.top] = _channels(layer, [channels[blob] for blob in layer.bottoms])
        if layer.type == "Input" and layer.name in given:
            blobs[layer.top] = given[layer.name]
            continue
        blobs[layer.top] = _BUILDERS[layer.type](layer, *(blobs[blob] for blob in layer.bottoms), channels[layer.top])
    return blobs


def _fold_relus(layers: Sequence[Layer]) -> List[Layer]:
    """The rows, a GroupNorm and the ReLU right behind it being one: its operator does both in one pass over the map."""
    rows: List[Layer] = []
    for layer in layers:
        below = rows[-1] if rows else layer
        if layer.type == "ReLU" and below.type == "GroupNorm" and below.top == layer.bottoms[0] == layer.top:
            rows[-1] = below._replace(options={**below.options, "relu": layer.name})
        else:
            rows.append(layer)
    return rows


def _channels(layer: Layer, below: List[int]) -> int:
    """Channels of a layer's top; 0 when unknown."""
    if layer.type == "Concat":
        return sum(below) if all(below) else 0
    return layer.options.get("num_output") or layer.options.get("channels") or (below[0] if below else 0)


def _variables(layer: Layer, **attributes) -> Dict[str, mx.sym.Symbol]:
    """The layer's arrays as keyword arguments `weight` and `bias`."""
    variables = {}
    for index, name in enumerate(layer.array_names()):
        lr, decay = layer.mults[index] if index < len(layer.mults) else (1.0, 1.0)
        variables[name.rsplit("_", 1)[1]] = mx.sym.Variable(name, lr_mult=lr, wd_mult=decay, **attributes)
    return variables


def _channel_variables(layer: Layer, channels: int) -> Dict[str, mx.sym.Symbol]:
    """`_variables` of one number per channel; MXNet cannot infer their shape."""
    if not channels:
        raise ValueError(f"layer {layer.name!r}: a {layer.type} needs to know its channels; state those of the input")
    return _variables(layer, shape=(channels,))


def _data(layer: Layer, _: int) -> mx.sym.Symbol:
    return mx.sym.Variable(layer.name)


def _square(layer: Layer, *names: str) -> Dict[str, tuple]:
    return {mine: (layer.options[theirs],) * 2 for theirs, mine in zip(names[::2], names[1::2])}


def _convolution(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    return mx.sym.Convolution(
        bottom,
        **_variables(layer),
        num_filter=layer.options["num_output"],
        num_group=layer.options["group"],
        no_bias=not layer.options["bias"],
        name=layer.name,
        **_square(layer, "kernel", "kernel", "stride", "stride", "pad", "pad", "dilation", "dilate"),
    )


def _deconvolution(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    return mx.sym.Deconvolution(
        bottom,
        **_variables(layer),
        num_filter=layer.options["num_output"],
        num_group=layer.options["group"],
        no_bias=not layer.options["bias"],
        name=layer.name,
        **_square(layer, "kernel", "kernel", "stride", "stride", "pad", "pad"),
    )


def _inner_product(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    options = layer.options
    return mx.sym.FullyConnected(
        bottom, **_variables(layer), num_hidden=options["num_output"], no_bias=not options["bias"], name=layer.name
    )


def _scale(layer: Layer, bottom: mx.sym.Symbol, channels: int) -> mx.sym.Symbol:
    arrays = _channel_variables(layer, channels)
    arrays = {name: mx.sym.Reshape(array, shape=(1, -1, 1, 1)) for name, array in arrays.items()}
    if "bias" in arrays:
        return mx.sym.broadcast_add(mx.sym.broadcast_mul(bottom, arrays["weight"]), arrays["bias"], name=layer.name)
    return mx.sym.broadcast_mul(bottom, arrays["weight"], name=layer.name)


def _pooling(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    return mx.sym.Pooling(
        bottom,
        pool_type="max",
        pooling_convention="full",
        name=layer.name,
        **_square(layer, "kernel", "kernel", "stride", "stride", "pad", "pad"),
    )


def _lrn(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """Local response normalisation from elementwise operators.

    MXNet 1.9.1's own `LRN` has a wrong backward pass under oneDNN when a convolution follows (forward is right). The
    mean over neighbouring channels is an average pooling over (channels, pixels) as if they were an image.
    """
    size, alpha, beta, k = (layer.options[name] for name in ("size", "alpha", "beta", "k"))
    squares = mx.sym.Reshape(mx.sym.square(bottom), shape=(-4, -1, 1, 0, -3))
    mean = mx.sym.Pooling(
        squares,
        kernel=(size, 1),
        pad=(size // 2, 0),
        pool_type="avg",
        count_include_pad=True,
        name=f"{layer.name}_mean",
    )
    factor = mx.sym.reshape_like((alpha * mean + k) ** -beta, bottom)
    return mx.sym.elemwise_mul(bottom, factor, name=layer.name)


def _normalize(layer: Layer, bottom: mx.sym.Symbol, channels: int, spec: NormSpec) -> mx.sym.Symbol:
    """Caffe's names and multipliers for the factor and the offset."""
    arrays = _channel_variables(layer, channels)
    factors = {"gamma": arrays["weight"], "beta": arrays["bias"]}
    return normalize(bottom, spec, layer.name, channels, layer.options.get("relu"), variables=factors)


def _group_norm(layer: Layer, bottom: mx.sym.Symbol, channels: int) -> mx.sym.Symbol:
    return _normalize(layer, bottom, channels, NormSpec("group", groups=layer.options["groups"]))


def _batch_norm(layer: Layer, bottom: mx.sym.Symbol, channels: int) -> mx.sym.Symbol:
    return _normalize(layer, bottom, channels, NormSpec("batch"))


def _mean_pooling(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """Not MXNet's global pooling, whose backward pass is ten times slower than this."""
    return mx.sym.mean(bottom, axis=(2, 3), keepdims=True, name=layer.name)


def _relu(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    return mx.sym.Activation(bottom, act_type="relu", name=layer.name)


def _dropout(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    return mx.sym.Dropout(bottom, p=layer.options["ratio"], name=layer.name)


def _softmax(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    return mx.sym.softmax(bottom, axis=1, name=layer.name)


def _eltwise(layer: Layer, *args) -> mx.sym.Symbol:
    bottoms, coefficients = list(args[:-1]), layer.options["coefficients"]
    if coefficients:
        bottoms = [bottom * factor for bottom, factor in zip(bottoms, coefficients)]
    total = bottoms[0]
    for bottom in bottoms[1:-1]:
        total = total + bottom
    return mx.sym.elemwise_add(total, bottoms[-1], name=layer.name)


def _concat(layer: Layer, *args) -> mx.sym.Symbol:
    return mx.sym.concat(*args[:-1], dim=1, name=layer.name)


def _crop(layer: Layer, bottom: mx.sym.Symbol, like: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    offset = (layer.options["offset"],) * 2
    return mx.sym.Crop(bottom, like, num_args=2, offset=offset, center_crop=False, name=layer.name)


def _softmax_loss(layer: Layer, score: mx.sym.Symbol, label: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    return pixel_softmax_loss(score, label, name=layer.name, **layer.options)


_BUILDERS: Dict[str, Callable[..., mx.sym.Symbol]] = {
    "Input": _data,
    "Convolution": _convolution,
    "Deconvolution": _deconvolution,
    "InnerProduct": _inner_product,
    "Scale": _scale,
    "Pooling": _pooling,
    "LRN": _lrn,
    "ReLU": _relu,
    "Dropout": _dropout,
    "Softmax": _softmax,
    "GroupNorm": _group_norm,
    "BatchNorm": _batch_norm,
    "MeanPooling": _mean_pooling,
    "Eltwise": _eltwise,
    "Concat": _concat,
    "Crop": _crop,
    "SoftmaxWithLoss": _softmax_loss,
}
