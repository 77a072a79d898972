"""Whether the `bbox` of a COCO annotation is the box of its `segmentation`, and if not, how it was written.

RPN and head learn the box, and the mask counts only inside of it: where the two differ training runs to its end, with
an AP of 0 and no cause. Boxes here are extents, x1, y1, x2, y2 in pixels, where x2 and y2 are the far edges: bbox is
x1, y1, x2 - x1, y2 - y1.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, NamedTuple, Sequence, Tuple

from fullconv.lib.dataset.detection.run_lengths import run_lengths, runs_extent

Extent = Tuple[float, float, float, float]
Size = Tuple[int, int]
Reading = Callable[[float, float, float, float, Size], Extent]

# Corners of sound boxes are up to 7 pixels from those of the mask (coco128), because boxes were drawn or rounded.
LOOSE = 8.0
# A box of another form is recognised from smaller differences, too, when most of the file has it.
CLOSE = 2.0
SHARE = 0.1  # of the object's longer side, below which a difference counts for nothing

_READINGS: Dict[str, Reading] = {
    "x1, y1, x2, y2": lambda a, b, c, d, size: (a, b, c, d),
    "measured to the left or upwards, with a negative width or height": lambda a, b, c, d, size: (
        min(a, a + c),
        min(b, b + d),
        max(a, a + c),
        max(b, b + d),
    ),
    "the centre, width and height": lambda a, b, c, d, size: (a - c / 2, b - d / 2, a + c / 2, b + d / 2),
    "counted from the bottom of the image, or else the polygons are": lambda a, b, c, d, size: (
        a,
        size[0] - b - d,
        a + c,
        size[0] - b,
    ),
    "counted from the bottom of the image to its upper edge": lambda a, b, c, d, size: (
        a,
        size[0] - b,
        a + c,
        size[0] - b + d,
    ),
    "x1, y1, x2, y2 counted from the bottom of the image": lambda a, b, c, d, size: (a, size[0] - d, c, size[0] - b),
    "x and the lower edge, width and height": lambda a, b, c, d, size: (a, b - d, a + c, b),
    "y, x, height, width, or else the polygons are y1, x1, y2, x2, ...": lambda a, b, c, d, size: (b, a, b + d, a + c),
    "y1, x1, y2, x2": lambda a, b, c, d, size: (b, a, d, c),
    "x, y, height, width": lambda a, b, c, d, size: (a, b, a + d, b + c),
    "x1, x2, y1, y2": lambda a, b, c, d, size: (a, c, b, d),
}


class Mismatch(NamedTuple):
    """A box that is not its mask's. kind: how it was written, "" when no way fits. distance: of the worst edge, pixels.

    box: x, y, width, height of the mask. clear: far too different for a box drawn by hand.
    """

    kind: str
    distance: float
    box: list[float]
    clear: bool


def mask_extent(segmentation: Any, size: Size) -> Extent | None:
    """Extent of a sound segmentation inside an image of `size` (h, w): exact for polygons and for run-length codes.

    None: no pixel, or all of it outside the image.
    """
    found = _polygon_extent(segmentation) if isinstance(segmentation, list) else None
    if isinstance(segmentation, dict):
        found = runs_extent(run_lengths(segmentation, size), size)
    return found and _inside(found, size)


def mask_box(segmentation: Any, size: Size) -> list[float] | None:
    """x, y, width, height of a sound segmentation: what its `bbox` should be. None: it has no pixel in the image."""
    extent = mask_extent(segmentation, size)
    return extent and [extent[0], extent[1], extent[2] - extent[0], extent[3] - extent[1]]


def mismatch(bbox: Sequence[float], segmentation: Any, size: Size) -> Mismatch | None:
    """How a box of four numbers differs from its sound segmentation, in an image of `size` (h, w); None when it fits.

    Also None for a mask without pixels, of which nothing can be said.
    """
    extent = mask_extent(segmentation, size)
    if extent is None:
        return None
    a, b, c, d = (float(value) for value in bbox)
    plain = _inside((a, b, a + c, b + d), size)
    distance = _distance(plain, extent)
    side = max(extent[2] - extent[0], extent[3] - extent[1])
    if distance <= max(CLOSE, SHARE * side):
        return None
    box = [extent[0], extent[1], extent[2] - extent[0], extent[3] - extent[1]]
    kind = next(_kinds((a, b, c, d), plain, extent, segmentation, size), "")
    return Mismatch(kind, distance, box, distance > max(LOOSE, SHARE * side))


def _kinds(bbox: Extent, plain: Extent, extent: Extent, segmentation: Any, size: Size) -> Iterator[str]:
    """The ways of writing a box or mask that would make the two fit, the most telling first."""
    height, width = size
    if bbox[2] == 0 or bbox[3] == 0:
        yield "without width or height"
    for name, read in _READINGS.items():
        if _fits(read(*bbox, size), extent):
            yield name
    if _fits(plain, (0, 0, width, height)):
        yield "the whole image"
    if _fits(plain, (extent[0], 0, extent[2], height)):
        yield "as high as the image"
    if _fits(plain, (0, extent[1], width, extent[3])):
        yield "as wide as the image"
    for unit, whole in (("shares of the image's sides, 0 to 1", 1.0), ("percent of the image's sides", 100.0)):
        if all(abs(value) <= whole for value in bbox):
            scaled = (
                bbox[0] * width / whole,
                bbox[1] * height / whole,
                bbox[2] * width / whole,
                bbox[3] * height / whole,
            )
            as_box = (scaled[0], scaled[1], scaled[0] + scaled[2], scaled[1] + scaled[3])
            if _fits(as_box, extent) or any(_fits(read(*scaled, size), extent) for read in _READINGS.values()):
                yield unit
    yield from _mask_kinds(plain, segmentation, size)
    yield from _scale(bbox, extent)


def _mask_kinds(plain: Extent, segmentation: Any, size: Size) -> Iterator[str]:
    """What is wrong with the mask, when the box is right."""
    height, width = size
    if isinstance(segmentation, dict):
        runs = run_lengths(segmentation, size)
        for text, row_major, inverted in (
            ("right, but the run-length code goes along rows: it must go down columns", True, False),
            ("right, but the run-length code begins with the object: its first run is background", False, True),
            ("right, but the run-length code goes along rows, and begins with the object", True, True),
        ):
            found = runs_extent(runs, size, row_major, inverted)
            if found and _fits(plain, found):
                yield text
        return
    x1, y1, x2, y2 = _polygon_extent(segmentation) or (0.0, 0.0, 0.0, 0.0)
    for unit, whole in (("shares, 0 to 1", 1.0), ("percent", 100.0)):
        if max(x2, y2) <= whole and _fits(
            plain, (x1 * width / whole, y1 * height / whole, x2 * width / whole, y2 * height / whole)
        ):
            yield f"right, but the polygons are {unit}: write pixels"


def _scale(bbox: Extent, extent: Extent) -> Iterator[str]:
    """A box of the image at another size: both sides and both offsets grow alike."""
    a, b, c, d = bbox
    if min(c, d) <= 0 or max(a, b) < CLOSE:
        return
    scale = (extent[2] - extent[0]) / c
    if scale > 0 and _fits((a * scale, b * scale, (a + c) * scale, (b + d) * scale), extent):
        yield f"of the image at another size, {1 / scale:.3g} times as large"


def _polygon_extent(polygons: list[list[float]]) -> Extent | None:
    parts = [part for part in polygons if len(part) >= 6]  # smaller ones are left out of the mask, too
    if not parts:
        return None
    rows = [part[1::2] for part in parts]
    columns = [part[0::2] for part in parts]
    low = float(min(map(min, columns))), float(min(map(min, rows)))
    return (*low, float(max(map(max, columns))), float(max(map(max, rows))))


def _inside(extent: Extent, size: Size) -> Extent:
    height, width = size
    x1, y1, x2, y2 = extent
    return (
        min(max(x1, 0.0), width),
        min(max(y1, 0.0), height),
        min(max(x2, 0.0), width),
        min(max(y2, 0.0), height),
    )


def _distance(a: Extent, b: Extent) -> float:
    return max(abs(v - w) for v, w in zip(a, b))


def _fits(a: Extent, b: Extent) -> bool:
    """Whether one way of reading agrees: up to rounding, and an edge counted as a pixel."""
    return _distance(a, b) <= CLOSE + 0.01 * max(b[2] - b[0], b[3] - b[1])
