"""From a table of layers to MXNet symbols.

Differences of the two frameworks that are settled here: Caffe's pooling rounds sizes up; crops are counted from the
top left corner; Caffe's LRN has k = 1 where MXNet's default is 2; learning-rate and decay multipliers are stated for
every array, because MXNet's default exempts biases from decay and Caffe's does not.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Mapping, Optional, Sequence

import mxnet as mx

from fullconv.lib.network.caffe import per_channel, pointwise, pooling, shaping
from fullconv.lib.network.caffe.layer import Layer, both
from fullconv.lib.network.caffe.per_channel import channel_variables, variables
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
        if layer.type == "Silence":
            continue  # It only says that nobody reads these blobs.
        missing = [blob for blob in layer.bottoms if blob not in blobs]
        if missing or layer.type not in _BUILDERS:
            known = ", ".join(sorted(_BUILDERS))
            reason = f"no earlier layer makes {missing[0]!r}" if missing else f"known types are {known}"
            raise ValueError(f"layer {layer.name!r} of type {layer.type}: {reason}")
        # Kept beside the symbols: factors per channel need their length stated, as MXNet cannot infer it from their
        # use.
        channels[layer.top] = shaping.channels(layer, [channels[blob] for blob in layer.bottoms])
        if layer.type == "Input" and layer.name in given:
            # What stands for an input brings its own name; a variable of that name would be a second input.
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


def _data(layer: Layer, _: int) -> mx.sym.Symbol:
    return mx.sym.Variable(layer.name)


def _geometry(layer: Layer, *names: str) -> Dict[str, tuple]:
    return {mine: both(layer.options[theirs]) for theirs, mine in zip(names[::2], names[1::2])}


# Weights lie alike in both frameworks, those of deconvolutions too: a file's arrays are taken as they are.
def _convolution(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    return mx.sym.Convolution(
        bottom,
        **variables(layer),
        num_filter=layer.options["num_output"],
        num_group=layer.options["group"],
        no_bias=not layer.options["bias"],
        name=layer.name,
        **_geometry(layer, "kernel", "kernel", "stride", "stride", "pad", "pad", "dilation", "dilate"),
    )


def _deconvolution(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    return mx.sym.Deconvolution(
        bottom,
        **variables(layer),
        num_filter=layer.options["num_output"],
        num_group=layer.options["group"],
        no_bias=not layer.options["bias"],
        dilate=both(layer.options.get("dilation", 1)),
        name=layer.name,
        **_geometry(layer, "kernel", "kernel", "stride", "stride", "pad", "pad"),
    )


def _inner_product(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    options = layer.options
    return mx.sym.FullyConnected(
        bottom, **variables(layer), num_hidden=options["num_output"], no_bias=not options["bias"], name=layer.name
    )


def _lrn(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """Local response normalisation from elementwise operators.

    MXNet 1.9.1's own `LRN` has a wrong backward pass under oneDNN when a convolution follows (forward is right). The
    mean over neighbouring channels is an average pooling over (channels, pixels) as if they were an image.
    """
    size, alpha, beta, k = (layer.options[name] for name in ("size", "alpha", "beta", "k"))
    # In MXNet's codes: (N, C, H, W) as (N, 1, C, H W).
    squares = mx.sym.Reshape(mx.sym.square(bottom), shape=(-4, -1, 1, 0, -3))
    mean = mx.sym.Pooling(
        squares,
        kernel=(size, 1),
        pad=(size // 2, 0),
        pool_type="avg",
        # Caffe divides by `size` at the first and last channels, too, where fewer are there.
        count_include_pad=True,
        name=f"{layer.name}_mean",
    )
    # alpha goes with the mean, not with the sum: Caffe divides it by `size`.
    factor = mx.sym.reshape_like((alpha * mean + k) ** -beta, bottom)
    return mx.sym.elemwise_mul(bottom, factor, name=layer.name)


def _normalize(layer: Layer, bottom: mx.sym.Symbol, channels: int, spec: NormSpec) -> mx.sym.Symbol:
    """Caffe's names and multipliers for the factor and the offset."""
    arrays = channel_variables(layer, channels)
    factors = {"gamma": arrays["weight"], "beta": arrays["bias"]}
    return normalize(bottom, spec, layer.name, channels, layer.options.get("relu"), variables=factors)


def _group_norm(layer: Layer, bottom: mx.sym.Symbol, channels: int) -> mx.sym.Symbol:
    return _normalize(layer, bottom, channels, NormSpec("group", groups=layer.options["groups"]))


def _batch_norm(layer: Layer, bottom: mx.sym.Symbol, channels: int) -> mx.sym.Symbol:
    return _normalize(layer, bottom, channels, NormSpec("batch"))


def _dropout(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    # Both frameworks scale by 1 / (1 - ratio) in training and do nothing in testing.
    return mx.sym.Dropout(bottom, p=layer.options["ratio"], name=layer.name)


def _softmax(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    return mx.sym.softmax(bottom, axis=layer.options.get("axis", 1), name=layer.name)


def _eltwise(layer: Layer, *args) -> mx.sym.Symbol:
    bottoms, coefficients = list(args[:-1]), layer.options["coefficients"]
    join = _JOINS[layer.options.get("operation", "SUM")]
    if coefficients:
        bottoms = [bottom * factor for bottom, factor in zip(bottoms, coefficients)]
    total = bottoms[0]
    for bottom in bottoms[1:-1]:
        total = join(total, bottom)
    return join(total, bottoms[-1], name=layer.name)


# mx.sym.maximum takes no name.
_JOINS = {"SUM": mx.sym.elemwise_add, "PROD": mx.sym.elemwise_mul, "MAX": mx.sym.broadcast_maximum}


def _crop(layer: Layer, bottom: mx.sym.Symbol, like: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    offset = both(layer.options["offset"])
    return mx.sym.Crop(bottom, like, num_args=2, offset=offset, center_crop=False, name=layer.name)


def _softmax_loss(layer: Layer, score: mx.sym.Symbol, label: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    return pixel_softmax_loss(score, label, name=layer.name, **layer.options)


_BUILDERS: Dict[str, Callable[..., mx.sym.Symbol]] = {
    **pooling.BUILDERS,
    **pointwise.BUILDERS,
    **per_channel.BUILDERS,
    **shaping.BUILDERS,
    "Input": _data,
    "Convolution": _convolution,
    "Deconvolution": _deconvolution,
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "Dropout": _dropout,
    "Softmax": _softmax,
    "GroupNorm": _group_norm,
    "BatchNorm": _batch_norm,
    "Eltwise": _eltwise,
    "Crop": _crop,
    "SoftmaxWithLoss": _softmax_loss,
}
