"""Intersection over union of two sets of boxes."""

from __future__ import annotations

import numpy as np

try:
    from fullconv.lib.bbox._overlaps import fill_overlaps
except ImportError as error:
    raise ImportError(
        f"fullconv.lib.bbox._overlaps is not compiled for this Python ({error}): run `sh init.sh` or "
        "`python setup.py build_ext --inplace`"
    ) from error


def as_boxes(boxes: np.ndarray, name: str = "boxes") -> np.ndarray:
    """`boxes` as a contiguous float64 array (n, 4) of its first four columns.

    Raises:
        ValueError: the array is not two-dimensional or has fewer than four columns.
    """
    boxes = np.asarray(boxes)
    if boxes.ndim != 2 or boxes.shape[1] < 4:
        raise ValueError(f"{name} must have shape (n, 4) (x1, y1, x2, y2), got {boxes.shape}")
    return np.ascontiguousarray(boxes[:, :4], dtype=np.float64)


def bbox_overlaps(boxes: np.ndarray, query: np.ndarray) -> np.ndarray:
    """IoU of every box with every query box, in float64 as the original computes it.

    Args:
        boxes: (n, 4) x1, y1, x2, y2 with inclusive ends; further columns are ignored.
        query: (k, 4) likewise.

    Returns:
        (n, k) float64; 0 where the boxes do not share a pixel.

    Raises:
        ValueError: wrong shape of either array.
    """
    boxes, query = as_boxes(boxes), as_boxes(query, "query")
    out = np.zeros((len(boxes), len(query)))
    fill_overlaps(boxes, query, out)
    return out
