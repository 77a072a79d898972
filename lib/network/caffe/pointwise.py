"""Layers that change every number by itself, of networks of others: Caffe's formulas in MXNet's operators.

Each builder takes the row, the bottom's symbol and its channels, and says which options the row has.
"""

from __future__ import annotations

import math
from typing import Callable, Dict

import mxnet as mx

from fullconv.lib.network.caffe.layer import Layer


def relu(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """max(x, 0) + slope min(x, 0); no option `slope` is 0."""
    slope = layer.options.get("slope", 0.0)
    if slope:
        return mx.sym.LeakyReLU(bottom, act_type="leaky", slope=slope, name=layer.name)
    return mx.sym.Activation(bottom, act_type="relu", name=layer.name)


def elu(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """x, or alpha (e^x - 1) below 0."""
    return mx.sym.LeakyReLU(bottom, act_type="elu", slope=layer.options["alpha"], name=layer.name)


def power(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """(shift + scale x)^power."""
    exponent = layer.options["power"]
    inner = _line(layer, bottom)
    # `**` takes no name, and names are how outputs are found.
    return mx.sym.identity(inner if exponent == 1 else inner**exponent, name=layer.name)


def exponential(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """base^(shift + scale x); base -1 stands for e."""
    return mx.sym.exp(_line(layer, bottom) * _log_of_base(layer), name=layer.name)


def logarithm(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """Logarithm of shift + scale x to a base; -1 stands for e."""
    return mx.sym.identity(mx.sym.log(_line(layer, bottom)) / _log_of_base(layer), name=layer.name)


def _line(layer: Layer, bottom: mx.sym.Symbol) -> mx.sym.Symbol:
    scale, shift = layer.options["scale"], layer.options["shift"]
    scaled = bottom if scale == 1 else bottom * scale
    return scaled + shift if shift else scaled


def _log_of_base(layer: Layer) -> float:
    base = layer.options["base"]
    return 1.0 if base == -1 else math.log(base)


def threshold(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """1 above `threshold`, else 0."""
    return mx.sym.identity(bottom > layer.options["threshold"], name=layer.name)


def sigmoid(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """1 / (1 + e^-x)."""
    return mx.sym.sigmoid(bottom, name=layer.name)


def tanh(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """Hyperbolic tangent."""
    return mx.sym.tanh(bottom, name=layer.name)


def absolute(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """|x|."""
    return mx.sym.abs(bottom, name=layer.name)


def bnll(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """log(1 + e^x)."""
    return mx.sym.Activation(bottom, act_type="softrelu", name=layer.name)


BUILDERS: Dict[str, Callable[..., mx.sym.Symbol]] = {
    "ReLU": relu,
    "ELU": elu,
    "Power": power,
    "Exp": exponential,
    "Log": logarithm,
    "Threshold": threshold,
    "Sigmoid": sigmoid,
    "TanH": tanh,
    "AbsVal": absolute,
    "BNLL": bnll,
}
