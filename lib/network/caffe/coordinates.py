"""Which input pixel does a pixel of a feature map look at? Crop offsets follow from the answer.

Pixel x of a blob has its centre at input coordinate `step * x + start`. A convolution (kernel k, stride s, padding p)
takes that map from (step, start) to (step * s, start + step * ((k - 1)/2 - p)); a deconvolution inverts this. Two maps
of equal step differ by a shift, and the shift is the crop offset that puts one over the other. It does not depend on
the image's size.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Dict, NamedTuple, Sequence

from fullconv.lib.network.caffe.layer import Layer, crop


class Map(NamedTuple):
    """Input coordinate of a blob's pixel x: `step * x + start`. Exact numbers: halves and quarters must cancel."""

    step: Fraction
    start: Fraction


def aligned_crop(layers: Sequence[Layer], name: str, bottom: str, like: str) -> Layer:
    """The Crop row that lays `bottom` over `like`, pixel by pixel.

    Raises:
        ValueError: the two blobs differ by more than a whole number of pixels, or `bottom` starts too late.
    """
    maps = coordinate_maps(layers)
    for blob in (bottom, like):
        if blob not in maps:
            raise ValueError(f"{name}: blob {blob!r} is not a map of the input's pixels")
    if maps[bottom].step != maps[like].step:
        steps = f"{maps[bottom].step} and {maps[like].step} input pixels"
        raise ValueError(f"{name}: {bottom} and {like} have steps of {steps}; only equal ones can be laid over")
    offset = (maps[like].start - maps[bottom].start) / maps[bottom].step
    if offset.denominator != 1 or offset < 0:
        raise ValueError(f"{name}: {bottom} would have to be cropped by {offset} pixels to fit {like}")
    return crop(name, bottom, like, int(offset))


def coordinate_maps(layers: Sequence[Layer]) -> Dict[str, Map]:
    """The map of every blob; all inputs show the same pixels. Blobs without one (fully connected) are absent."""
    maps: Dict[str, Map] = {}
    for layer in layers:
        if layer.type == "Input":
            maps[layer.top] = Map(Fraction(1), Fraction(0))
        elif layer.type in ("InnerProduct", "SoftmaxWithLoss") or layer.bottoms[0] not in maps:
            maps.pop(layer.top, None)
        else:
            maps[layer.top] = _through(layer, maps[layer.bottoms[0]])
    return maps


def _through(layer: Layer, below: Map) -> Map:
    """Map of a layer's top from that of its (first) bottom."""
    options = layer.options
    if layer.type in ("Convolution", "Pooling"):
        reach = options.get("dilation", 1) * (options["kernel"] - 1)
        return Map(below.step * options["stride"], below.start + below.step * (Fraction(reach, 2) - options["pad"]))
    if layer.type == "Deconvolution":
        step = below.step / options["stride"]
        return Map(step, below.start - step * (Fraction(options["kernel"] - 1, 2) - options["pad"]))
    if layer.type == "Crop":
        return Map(below.step, below.start + below.step * options["offset"])
    return below
