"""Layers that move numbers without changing them, of networks of others; ArgMax, which names the largest.

Each builder takes the row, the symbols of the bottoms and the channels of the top, and says which options the row has.
A layer of Caffe with several tops is several rows, one for each.
"""

from __future__ import annotations

from typing import Callable, Dict, List

import mxnet as mx

from fullconv.lib.network.caffe.layer import Layer


def concat(layer: Layer, *args) -> mx.sym.Symbol:
    """Blobs behind each other along `axis`, channels when not given."""
    return mx.sym.concat(*args[:-1], dim=layer.options.get("axis", 1), name=layer.name)


def slice_part(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """One part along `axis`: from `begin` to `end` (None: the rest), or number `index` of `parts` equal ones."""
    options = layer.options
    if "parts" in options:
        parts = mx.sym.split(bottom, num_outputs=options["parts"], axis=options["axis"], name=f"{layer.name}_parts")
        return mx.sym.identity(parts[options["index"]], name=layer.name)
    return mx.sym.slice_axis(bottom, axis=options["axis"], begin=options["begin"], end=options["end"], name=layer.name)


def split(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """The blob under another name; Caffe makes copies so that gradients can be summed."""
    return mx.sym.identity(bottom, name=layer.name)


def flatten(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """(N, everything else)."""
    return mx.sym.Flatten(bottom, name=layer.name)


def reshape(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """`shape`: 0 keeps the length at its place, -1 takes what is left, in Caffe and MXNet alike."""
    return mx.sym.Reshape(bottom, shape=layer.options["shape"], name=layer.name)


def arg_max(layer: Layer, bottom: mx.sym.Symbol, _: int) -> mx.sym.Symbol:
    """Index of the largest along `axis`, as numbers of the map's type, the axis kept.

    Of equal ones the last, as Caffe sorts pairs of (value, index) downwards; MXNet's argmax names the first.
    """
    axis = layer.options["axis"]
    largest = mx.sym.broadcast_equal(bottom, mx.sym.max(bottom, axis=axis, keepdims=True))
    counted = mx.sym.cumsum(mx.sym.ones_like(bottom), axis=axis)
    # Counted from 1, so that places that are not the largest are at 0 - 1 and lose against the first one.
    return mx.sym.max(largest * counted - 1, axis=axis, keepdims=True, name=layer.name)


BUILDERS: Dict[str, Callable[..., mx.sym.Symbol]] = {
    "Concat": concat,
    "Slice": slice_part,
    "Split": split,
    "Flatten": flatten,
    "Reshape": reshape,
    "ArgMax": arg_max,
}

# ------------------------------------------------------------------------------------------ channels of a top


def channels(layer: Layer, below: List[int]) -> int:
    """Channels of a layer's top, axis 1; 0 when they cannot be known without the map's size."""
    options, first = layer.options, below[0] if below else 0
    along = options.get("axis", 1) == 1
    if layer.type == "Concat" and along:
        return sum(below) if all(below) else 0
    if layer.type == "Slice" and along:
        if "parts" in options:
            return first // options["parts"]
        end = first if options["end"] is None else options["end"]
        return max(end - options["begin"], 0)
    if layer.type == "ArgMax" and along:
        return 1
    # Channels times places, and the number of places follows from the image.
    if layer.type == "Flatten":
        return 0
    if layer.type == "Reshape":
        # Two more lengths, so that a shape of one number has a second: one that is not known.
        length = (*options["shape"], -1, -1)[1]
        return first if length == 0 else max(length, 0)
    return options.get("num_output") or options.get("channels") or first
