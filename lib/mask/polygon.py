"""Bool masks from the segmentations of a COCO annotation file."""

from __future__ import annotations

from typing import Any, Mapping, Sequence, Union

import numpy as np
from pycocotools import mask as coco_mask

try:
    from fullconv.lib.mask._raster import fill_polygon
except ImportError as error:
    raise ImportError(
        f"fullconv.lib.mask._raster is not compiled for this Python ({error}): run `sh init.sh` or "
        "`python setup.py build_ext --inplace`"
    ) from error

Segmentation = Union[Sequence[Sequence[float]], Mapping[str, Any]]


def _vertices(polygon: Sequence[float]) -> np.ndarray:
    points = np.asarray(polygon, dtype=np.float64)
    if points.ndim != 1 or points.size < 4 or points.size % 2:
        raise ValueError(f"a polygon is a flat list x1, y1, x2, y2, ... of two or more points, got {polygon!r}")
    if not np.isfinite(points).all():
        raise ValueError(f"a polygon has a coordinate that is not a number: {polygon!r}")
    return points.reshape(-1, 2)


def polygons_to_mask(polygons: Sequence[Sequence[float]], height: int, width: int) -> np.ndarray:
    """Union of polygons as a mask; a pixel counts when its centre is inside (even-odd) or on a polygon.

    This is what the original gets from `skimage.draw.polygon`. As there, vertices beyond the last column or
    row are moved onto it; ours moves negative ones to 0, where the original would wrap around.

    Args:
        polygons: flat lists x1, y1, x2, y2, ... in pixels, pixel centres at integers.
        height, width: size of the mask.

    Returns:
        (height, width) bool.

    Raises:
        ValueError: an odd number of coordinates, fewer than two points, or NaN.
    """
    mask, work = np.zeros((height, width), dtype=np.uint8), np.zeros((height, width), dtype=np.uint8)
    for polygon in polygons:
        points = np.clip(_vertices(polygon), 0, [width - 1, height - 1])
        fill_polygon(np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1]), work, mask)
    return mask.view(bool)


def rle_to_mask(rle: Mapping[str, Any], height: int, width: int) -> np.ndarray:
    """A COCO run-length code, compressed (str or bytes counts) or not (list), as a mask (height, width) bool.

    Raises:
        ValueError: its size is not (height, width), or the runs do not add up to it.
    """
    if list(rle.get("size", ())) != [height, width]:
        raise ValueError(f"run-length code of size {rle.get('size')} for an image of {[height, width]}")
    counts = rle["counts"]
    if isinstance(counts, (str, bytes)):
        code = counts.encode("ascii") if isinstance(counts, str) else counts
        return coco_mask.decode({"size": [height, width], "counts": code}).astype(bool)
    runs = np.asarray(counts, dtype=np.int64)
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(f"run lengths add up to {runs.sum()}, not to {height} x {width} pixels")
    # Runs alternate, background first, and go down the columns: hence the transposed shape.
    values = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)


def segmentation_to_mask(segmentation: Segmentation, height: int, width: int) -> np.ndarray:
    """The `segmentation` field of a COCO annotation (polygons or run-length code) as (height, width) bool.

    Raises:
        ValueError: neither a list of polygons nor a run-length code, or a damaged one.
    """
    if isinstance(segmentation, Mapping):
        return rle_to_mask(segmentation, height, width)
    if not isinstance(segmentation, (list, tuple)):
        raise ValueError(f"segmentation is neither polygons nor a run-length code: {segmentation!r}")
    return polygons_to_mask(segmentation, height, width)
