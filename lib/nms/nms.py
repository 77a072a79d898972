"""Greedy non-maximum suppression of scored boxes.

Published code holds three versions that agree except at equality and for boxes without area:

| function  | drops a box if       | equality | NaN IoU | computes in       | used by                    |
|-----------|----------------------|----------|---------|-------------------|----------------------------|
| `nms`     | not IoU <= threshold | kept     | dropped | type of the input | CPU mask voting, per class |
| `gpu_nms` | IoU > threshold      | kept     | kept    | float32           | proposals, GPU mask voting |
| `cpu_nms` | IoU >= threshold     | dropped  | kept    | float32           | nothing in the originals   |

Boxes are x1, y1, x2, y2 with inclusive pixel ends. Candidates are visited by `scores.argsort()[::-1]`: of
equal scores the later index usually comes first. All functions take any number of boxes, none included.
"""

from __future__ import annotations

from typing import Callable, Dict, Optional

import numpy as np

try:
    from fullconv.lib.nms._nms import suppress
except ImportError as error:
    raise ImportError(
        f"fullconv.lib.nms._nms is not compiled for this Python ({error}): run `sh init.sh` or "
        "`python setup.py build_ext --inplace`"
    ) from error

_ABOVE, _NOT_BELOW_OR_EQUAL, _FROM = range(3)


def _greedy(dets: np.ndarray, threshold: float, rule: int, max_keep: Optional[int]) -> np.ndarray:
    if dets.ndim != 2 or dets.shape[1] != 5:
        raise ValueError(f"nms needs dets of shape (n, 5) (x1, y1, x2, y2, score), got {dets.shape}")
    dets = np.ascontiguousarray(dets)
    most = len(dets) if max_keep is None else max(0, min(max_keep, len(dets)))
    # Kept boxes are copied to `storage`, coordinate by coordinate, where vector instructions can compare many at once.
    keep, storage = np.empty(most, dtype=np.int32), np.empty(5 * most, dtype=dets.dtype)
    # numpy's default sort, which is not stable, turned round: recorded results hold the order that it gives to ties.
    order = np.ascontiguousarray(dets[:, 4].argsort()[::-1], dtype=np.int64)
    count = suppress(dets, order, threshold, rule, keep, storage)
    return keep[:count].astype(np.int64)


def nms(dets: np.ndarray, threshold: float, max_keep: Optional[int] = None) -> np.ndarray:
    """Keeps boxes whose IoU with every better kept box is <= threshold; NaN drops the box.

    Args:
        dets: (n, 5) x1, y1, x2, y2, score; float32 is computed in float32, anything else in float64.
        threshold: largest IoU two kept boxes may have.
        max_keep: stop after so many; None keeps all.

    Returns:
        (m,) int64 indices into dets, best score first.

    Raises:
        ValueError: dets is not (n, 5).
    """
    dets = np.asarray(dets)
    dets = dets if dets.dtype == np.float32 else dets.astype(np.float64)
    return _greedy(dets, threshold, _NOT_BELOW_OR_EQUAL, max_keep)


def gpu_nms(dets: np.ndarray, threshold: float, max_keep: Optional[int] = None) -> np.ndarray:
    """Drops boxes whose IoU with a better kept box is > threshold, in float32; NaN keeps the box.

    Arguments and result as in `nms`. This is the rule of the originals' CUDA kernel, computed on the CPU; the
    operator `lib.operators.proposal` suppresses by it on the device of its input.
    """
    return _greedy(np.asarray(dets, dtype=np.float32), threshold, _ABOVE, max_keep)


def cpu_nms(dets: np.ndarray, threshold: float, max_keep: Optional[int] = None) -> np.ndarray:
    """Drops boxes whose IoU with a better kept box is >= threshold, in float32; NaN keeps the box."""
    return _greedy(np.asarray(dets, dtype=np.float32), threshold, _FROM, max_keep)


RULES: Dict[str, Callable[..., np.ndarray]] = {"numpy": nms, "gpu": gpu_nms, "cython": cpu_nms}


def py_nms(dets: np.ndarray, threshold: float) -> np.ndarray:
    """`nms` in plain numpy: what tests and benchmarks compare with."""
    x1, y1, x2, y2, scores = np.asarray(dets).T
    areas = (x2 - x1 + 1) * (y2 - y1 + 1)
    order = scores.argsort()[::-1]
    keep = []
    while order.size > 0:
        best, rest = order[0], order[1:]
        keep.append(best)
        w = np.maximum(0, np.minimum(x2[best], x2[rest]) - np.maximum(x1[best], x1[rest]) + 1)
        h = np.maximum(0, np.minimum(y2[best], y2[rest]) - np.maximum(y1[best], y1[rest]) + 1)
        shared = w * h
        with np.errstate(divide="ignore", invalid="ignore"):
            iou = shared / (areas[best] + areas[rest] - shared)
        # A NaN compares as False: such a box is dropped, as in the original's numpy version.
        order = rest[iou <= threshold]
    return np.array(keep, dtype=np.int64)
