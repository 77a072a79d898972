"""Greedy non-maximum suppression of boxes with labels: only boxes of one label suppress each other (FCOS)."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any, Callable, Tuple

import numpy as np

from fullconv.operator_cxx import c_library

__all__ = ["ml_nms"]


@lru_cache(maxsize=None)
def _entries() -> Tuple[Callable[..., int], Callable[[int], int]]:
    """The entry point of the operator library and the one that says how much scratch it needs."""
    library = c_library()
    entry, workspace = library.fullconv_ml_nms_cpu, library.fullconv_ml_nms_workspace
    pointer, number = ctypes.c_void_p, ctypes.c_int
    entry.argtypes = [*[pointer] * 4, number, ctypes.c_double, pointer, pointer]
    workspace.argtypes, workspace.restype = [number], ctypes.c_size_t
    return entry, workspace


def _checked(array: Any, name: str, shape: Tuple[int, ...]) -> np.ndarray:
    """`array` as contiguous float32, if it has `shape`."""
    array = np.ascontiguousarray(array, dtype=np.float32)
    if array.shape != shape:
        raise ValueError(f"ml_nms needs {name} of shape {shape}, got {array.shape}")
    return array


def ml_nms(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, threshold: float) -> np.ndarray:
    """Rows that stay when each box suppresses those of its label that it overlaps by more than `threshold`.

    Args:
        boxes: (n, 4) x1, y1, x2, y2 with inclusive pixel ends (a side is x2 - x1 + 1 long), n may be 0.
        scores: (n,) the better box suppresses; of equal scores the one that comes first.
        labels: (n,) whole numbers.
        threshold: largest IoU two boxes of one label may have, in float32; NaN drops nothing.

    Returns:
        (m,) int64 rows in ASCENDING order, not by score, as in the original.

    Raises:
        ValueError: shapes that do not fit each other.
    """
    boxes = _checked(boxes, "boxes", (np.size(scores), 4))
    scores, labels = (_checked(array, key, (len(boxes),)) for array, key in ((scores, "scores"), (labels, "labels")))
    entry, workspace_size = _entries()
    n, keep = len(boxes), np.empty(len(boxes), np.float32)
    workspace = np.empty(workspace_size(n), np.uint8)
    inputs = [array.ctypes.data for array in (boxes, scores, labels, keep)]
    error = entry(*inputs, n, threshold, workspace.ctypes.data, None)
    if error:
        raise RuntimeError(f"ml_nms failed with error {error}")
    # `keep` marks rows and does not list them, so the order is ascending without a sort.
    return np.flatnonzero(keep)
