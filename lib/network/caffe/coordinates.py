"""Which input pixel does a pixel of a feature map look at? Crop offsets follow from the answer.

Pixel x of a blob has its centre at input coordinate `step * x + start`. A convolution (kernel k, stride s, padding p)
takes that map from (step, start) to (step * s, start + step * ((k - 1)/2 - p)); a deconvolution inverts this. Two maps
of equal step differ by a shift, and the shift is the crop offset that puts one over the other. It does not depend on
the image's size.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Dict, Mapping, NamedTuple, Sequence

from fullconv.lib.network.caffe.layer import Layer, Size, both, crop


class Line(NamedTuple):
    """Input coordinate of a blob's pixel x: `step * x + start`. Exact numbers: halves and quarters must cancel."""

    step: Fraction
    start: Fraction


class Map(NamedTuple):
    """The two directions of a blob, which differ where kernels are not square."""

    vertical: Line
    horizontal: Line


TOO_FINE = 1 << 64
"""Numerators and denominators beyond this are no longer counted with: a file could make them of millions of digits."""

NO_MAP = ("InnerProduct", "SoftmaxWithLoss", "MeanPooling", "GlobalMaxPooling", "Flatten", "Reshape", "Silence")
"""Layers whose top has no pixels, or not those of the bottom."""


def aligned_crop(layers: Sequence[Layer], name: str, bottom: str, like: str) -> Layer:
    """The Crop row that lays `bottom` over `like`, pixel by pixel.

    Raises:
        ValueError: the two blobs differ by more than a whole number of pixels, or `bottom` starts too late.
    """
    return crop(name, bottom, like, aligned_offset(coordinate_maps(layers), name, bottom, like))


def aligned_offset(maps: Mapping[str, Map], name: str, bottom: str, like: str) -> Size:
    """Offset of the crop called `name`, from what `coordinate_maps` found; raises as `aligned_crop` does."""
    for blob in (bottom, like):
        if blob not in maps:
            raise ValueError(f"{name}: blob {blob!r} is not a map of the input's pixels")
    offsets = [_offset(maps[bottom][axis], maps[like][axis], name, bottom, like) for axis in (0, 1)]
    return offsets[0] if offsets[0] == offsets[1] else (offsets[0], offsets[1])


def _offset(ours: Line, theirs: Line, name: str, bottom: str, like: str) -> int:
    # Where steps differ, no offset lays more than one pixel over its own place.
    if ours.step != theirs.step:
        steps = f"{ours.step} and {theirs.step} input pixels"
        raise ValueError(f"{name}: {bottom} and {like} have steps of {steps}; only equal ones can be laid over")
    offset = (theirs.start - ours.start) / ours.step
    if offset.denominator != 1 or offset < 0:
        raise ValueError(f"{name}: {bottom} would have to be cropped by {offset} pixels to fit {like}")
    return int(offset)


def coordinate_maps(layers: Sequence[Layer]) -> Dict[str, Map]:
    """The map of every blob; all inputs show the same pixels. Blobs without one (fully connected) are absent."""
    maps: Dict[str, Map] = {}
    for layer in layers:
        follow(maps, layer)
    return maps


def follow(maps: Dict[str, Map], layer: Layer) -> None:
    """Put the map of a layer's top into `maps`, which hold those of its bottoms."""
    if layer.type == "Input":
        maps[layer.top] = Map(Line(Fraction(1), Fraction(0)), Line(Fraction(1), Fraction(0)))
        return
    below = maps.get(layer.bottoms[0])
    across_pixels = layer.type in ("Concat", "Slice", "ArgMax") and layer.options.get("axis", 1) != 1
    # A layer that works in place and has no map must not leave its bottom's under the name they share.
    maps.pop(layer.top, None)
    if layer.type in NO_MAP or across_pixels or below is None:
        return
    vertical = _through(layer, below.vertical, 0)
    # Exact numbers are slow, and hardly any network has a direction that differs.
    square = below.vertical == below.horizontal and not any(isinstance(v, tuple) for v in layer.options.values())
    found = Map(vertical, vertical if square else _through(layer, below.horizontal, 1))
    numbers = [number for line in found for number in line]
    if all(max(abs(number.numerator), number.denominator) < TOO_FINE for number in numbers):
        maps[layer.top] = found


def _through(layer: Layer, below: Line, axis: int) -> Line:
    """One direction of a layer's top from that of its (first) bottom."""
    size = {key: both(layer.options.get(key, 1))[axis] for key in ("kernel", "stride", "dilation")}
    pad, reach = both(layer.options.get("pad", 0))[axis], size["dilation"] * (size["kernel"] - 1)
    if layer.type in ("Convolution", "Pooling"):
        return Line(below.step * size["stride"], below.start + below.step * (Fraction(reach, 2) - pad))
    if layer.type == "Deconvolution":
        step = below.step / size["stride"]
        return Line(step, below.start - step * (Fraction(reach, 2) - pad))
    if layer.type == "Crop":
        return Line(below.step, below.start + below.step * both(layer.options["offset"])[axis])
    return below
