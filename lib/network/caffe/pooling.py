"""Caffe's pooling in MXNet's operators, which count windows in another way where there is padding.

Caffe (pooling_layer.cpp) rounds the number of windows up, and with padding then drops a last one that would begin
behind the image. Its mean divides by the part of the window that lies in the padded image, so padding counts as zeros
and what is behind the padding does not.
"""

from __future__ import annotations

from typing import Callable, Dict

import mxnet as mx

from fullconv.lib.network.caffe.layer import Layer, both

LOWEST = -3.4e38
"""What padding holds for a maximum: every number of a map is larger, and unlike -inf it makes no NaN."""


def pooling(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """Options: kernel, stride, pad (numbers, or (vertical, horizontal)); method "AVE" for means, else maxima."""
    mean = layer.options.get("method") == "AVE"
    geometry = {key: both(layer.options[key]) for key in ("kernel", "stride", "pad")}
    if not _drops_windows(**geometry):
        return _pool(bottom, "avg" if mean else "max", layer.name, **geometry)
    if not mean:
        return _maxima(bottom, layer.name, **geometry)
    # Zeros all around, then as without padding: the divisors are right, but a window too many may be at the end.
    pad, geometry["pad"] = geometry["pad"], (0, 0)
    padded = _padded(bottom, pad, pad, 0.0)
    means = _pool(padded, "avg", f"{layer.name}_all", **geometry)
    like = _maxima(bottom, f"{layer.name}_like", **{**geometry, "pad": pad})
    return mx.sym.slice_like(means, like, axes=(2, 3), name=layer.name)


def _drops_windows(kernel: tuple, stride: tuple, pad: tuple) -> bool:
    """Can the last window begin behind the image? Caffe looks at both axes as soon as one is padded."""
    return any(pad) and any(k - p < s for k, s, p in zip(kernel, stride, pad))


def _maxima(bottom: mx.sym.Symbol, name: str, kernel: tuple, stride: tuple, pad: tuple) -> mx.sym.Symbol:
    """Maxima with Caffe's count of windows, whatever the map's size, which a symbol does not know.

    The count less one is min(ceil((n + 2p - k) / s), ceil((n + p) / s) - 1), and that is floor((n + p + end - k) / s)
    with the `end` below: an operator that rounds down gets it from so much padding behind the map.
    """
    ends = tuple(k - max(k - p, s) + s - 1 for k, s, p in zip(kernel, stride, pad))
    return mx.sym.Pooling(_padded(bottom, pad, ends, LOWEST), kernel=kernel, stride=stride, pool_type="max", name=name)


def _padded(bottom: mx.sym.Symbol, starts: tuple, ends: tuple, value: float) -> mx.sym.Symbol:
    widths = (0, 0, 0, 0, starts[0], ends[0], starts[1], ends[1])
    return mx.sym.Pad(bottom, mode="constant", pad_width=widths, constant_value=value)


# Of equal maxima both frameworks pass the gradient to the first, row by row.
def _pool(bottom: mx.sym.Symbol, kind: str, name: str, kernel: tuple, stride: tuple, pad: tuple) -> mx.sym.Symbol:
    return mx.sym.Pooling(
        bottom, kernel=kernel, stride=stride, pad=pad, pool_type=kind, pooling_convention="full", name=name
    )


def mean_pooling(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """Not MXNet's global pooling, whose backward pass is ten times slower than this."""
    return mx.sym.mean(bottom, axis=(2, 3), keepdims=True, name=layer.name)


def global_max_pooling(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """Maximum over all places, (N, C, 1, 1)."""
    return mx.sym.max(bottom, axis=(2, 3), keepdims=True, name=layer.name)


BUILDERS: Dict[str, Callable[..., mx.sym.Symbol]] = {
    "Pooling": pooling,
    "MeanPooling": mean_pooling,
    "GlobalMaxPooling": global_max_pooling,
}
