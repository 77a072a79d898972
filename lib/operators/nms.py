"""Greedy non-maximum suppression as an operator: the rule of the originals' CUDA kernel (see lib/nms/nms.py)."""

from __future__ import annotations

from typing import Optional

from fullconv.lib.operators.library import Array, invoke

__all__ = ["nms"]


def nms(dets: Array, threshold: float, max_keep: int, name: Optional[str] = None) -> Array:
    """Rows of dets (n, 5) x1, y1, x2, y2, score, in any order, that stay after suppression; no gradient.

    Two outputs: keep (max_keep,), row indices, best score first, -1 behind the last; and count (1,), how many there
    are. A row is dropped when its IoU with a better one that stays is > threshold (float32, ends inclusive; NaN
    drops nothing). Of equal scores the later row comes first.
    """
    return invoke("fullconv_nms", dets, name=name, threshold=threshold, max_keep=max_keep)
