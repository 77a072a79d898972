"""Which input pixels a pixel of a feature map can depend on, exactly, border effects aside."""

from __future__ import annotations

from typing import Dict, Sequence, Tuple

from fullconv.lib.network.caffe.layer import Layer

Interval = Tuple[int, int]
"""First and last pixel of a row (or column), both included; unlimited in either direction."""


def reach(layers: Sequence[Layer], blob: str, step: int) -> Interval:
    """(before, after): pixel x of `blob` depends on input pixels from x - before to x + after at most.

    blob: a map with one pixel per input pixel. step: period of the answer, the coarsest map's step in input pixels.
    """
    # Which side a pixel leans to repeats with the pooling grid, so one period has the worst case.
    needs = [(x, dependence(layers, blob, (x, x))) for x in range(step)]
    return max(x - first for x, (first, _) in needs), max(last - x for x, (_, last) in needs)


def dependence(layers: Sequence[Layer], blob: str, pixels: Interval) -> Interval:
    """Input pixels that `pixels` of `blob` depend on, over all inputs, as if maps went on for ever."""
    needed: Dict[str, Interval] = {blob: pixels}
    inputs = []
    for layer in reversed(layers):
        if layer.top not in needed:
            continue
        if layer.type == "Input":
            inputs.append(needed.pop(layer.top))
            continue
        interval = _through(layer, needed.pop(layer.top))
        # A crop reads values from its first bottom only; the other one gives a size.
        for bottom in layer.bottoms[: 1 if layer.type == "Crop" else None]:
            needed[bottom] = _union(interval, needed.get(bottom, interval))
    if not inputs:
        raise ValueError(f"blob {blob!r} depends on no input")
    return min(first for first, _ in inputs), max(last for _, last in inputs)


def _through(layer: Layer, top: Interval) -> Interval:
    """Pixels of a layer's bottom that pixels of its top read."""
    first, last = top
    options = layer.options
    if layer.type in ("Convolution", "Pooling"):
        extent = options.get("dilation", 1) * (options["kernel"] - 1)
        start = first * options["stride"] - options["pad"]
        return start, last * options["stride"] - options["pad"] + extent
    if layer.type == "Deconvolution":
        stride, kernel, pad = options["stride"], options["kernel"], options["pad"]
        # Floors of negatives are ceilings: the first pixel whose kernel reaches `first`.
        return -((kernel - 1 - first - pad) // stride), (last + pad) // stride
    if layer.type == "Crop":
        return first + options["offset"], last + options["offset"]
    if layer.type in ("InnerProduct", "GroupNorm"):
        raise ValueError(f"layer {layer.name!r} reads the whole map: its reach has no limit")
    return top


def _union(one: Interval, other: Interval) -> Interval:
    return min(one[0], other[0]), max(one[1], other[1])
