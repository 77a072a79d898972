"""Layers with a number for each channel: factors, offsets, slopes and stored statistics.

They work on maps (N, C, H, W) and on vectors (N, C) alike.
"""

from __future__ import annotations

from typing import Callable, Dict

import mxnet as mx

from fullconv.lib.network.caffe.layer import Layer


def variables(layer: Layer, **attributes) -> Dict[str, mx.sym.Symbol]:
    """The layer's arrays by the last word of their names: `weight`, `bias`, `mean`, `var`."""
    found = {}
    for index, name in enumerate(layer.array_names()):
        # Stated even where it is 1: MXNet would leave the decay of whatever does not end in _weight or _gamma at 0.
        lr, decay = layer.mults[index] if index < len(layer.mults) else (1.0, 1.0)
        found[name.rsplit("_", 1)[1]] = mx.sym.Variable(name, lr_mult=lr, wd_mult=decay, **attributes)
    return found


def channel_variables(layer: Layer, channels: int) -> Dict[str, mx.sym.Symbol]:
    """`variables` of one number per channel; MXNet cannot infer their shape."""
    if not channels:
        raise ValueError(f"layer {layer.name!r}: a {layer.type} needs to know its channels; state those of the input")
    return variables(layer, shape=(channels,))


def _prepared(layer: Layer, bottom: mx.sym.Symbol, channels: int):
    """The bottom as (N, C, places) and the arrays as (1, C, 1), which fits maps and vectors."""
    arrays = {key: mx.sym.Reshape(array, shape=(1, -1, 1)) for key, array in channel_variables(layer, channels).items()}
    return mx.sym.Reshape(bottom, shape=(0, channels, -1)), arrays


def scale(layer: Layer, bottom: mx.sym.Symbol, channels: int) -> mx.sym.Symbol:
    """A factor per channel and, with option `bias`, an offset."""
    flat, arrays = _prepared(layer, bottom, channels)
    result = mx.sym.broadcast_mul(flat, arrays["weight"])
    if "bias" in arrays:
        result = mx.sym.broadcast_add(result, arrays["bias"])
    return mx.sym.reshape_like(result, bottom, name=layer.name)


def bias(layer: Layer, bottom: mx.sym.Symbol, channels: int) -> mx.sym.Symbol:
    """An offset per channel. Caffe's array is its first one, hence `<layer>_weight`."""
    flat, arrays = _prepared(layer, bottom, channels)
    return mx.sym.reshape_like(mx.sym.broadcast_add(flat, arrays["weight"]), bottom, name=layer.name)


def stored_norm(layer: Layer, bottom: mx.sym.Symbol, channels: int) -> mx.sym.Symbol:
    """(x - mean) / sqrt(var + eps) with stored numbers: Caffe's BatchNorm in testing. Option: eps.

    Not MXNet's BatchNorm, which has a factor and an offset that Caffe leaves to a Scale behind it.
    """
    flat, arrays = _prepared(layer, bottom, channels)
    centred = mx.sym.broadcast_sub(flat, arrays["mean"])
    result = mx.sym.broadcast_div(centred, mx.sym.sqrt(arrays["var"] + layer.options["eps"]))
    return mx.sym.reshape_like(result, bottom, name=layer.name)


def prelu(layer: Layer, bottom: mx.sym.Symbol, channels: int) -> mx.sym.Symbol:
    """max(x, 0) + slope min(x, 0) with a learned slope per channel, or one for all with option `shared`."""
    if layer.options["shared"]:
        slope = mx.sym.Reshape(variables(layer, shape=(1,))["weight"], shape=(1, 1, 1))
        flat = mx.sym.Reshape(bottom, shape=(0, 0, -1))
    else:
        flat, arrays = _prepared(layer, bottom, channels)
        slope = arrays["weight"]
    below = mx.sym.broadcast_mul(mx.sym.minimum(flat, 0), slope)
    return mx.sym.reshape_like(mx.sym.relu(flat) + below, bottom, name=layer.name)


BUILDERS: Dict[str, Callable[..., mx.sym.Symbol]] = {
    "Scale": scale,
    "Bias": bias,
    "StoredNorm": stored_norm,
    "PReLU": prelu,
}
