"""Box regression targets, their inverse, and the usual filters.

Boxes are x1, y1, x2, y2 with inclusive pixel ends: width = x2 - x1 + 1. Arithmetic keeps the type numpy gives
the inputs (float32 and float64 mixed as in the original), so recorded numbers agree to the last bit.
"""

from __future__ import annotations

from typing import Sequence, Tuple

import numpy as np


def _sizes_and_centres(boxes: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    widths = boxes[:, 2] - boxes[:, 0] + 1.0
    heights = boxes[:, 3] - boxes[:, 1] + 1.0
    return widths, heights, boxes[:, 0] + 0.5 * (widths - 1.0), boxes[:, 1] + 0.5 * (heights - 1.0)


def encode_boxes(boxes: np.ndarray, gt_boxes: np.ndarray) -> np.ndarray:
    """Regression targets dx, dy, dw, dh that move each box onto its ground truth (Fast R-CNN, appendix C).

    Args:
        boxes: (n, 4).
        gt_boxes: (n, 4), row i belonging to boxes[i].

    Returns:
        (n, 4); inf or NaN for boxes without area, as in the original.

    Raises:
        ValueError: the two arrays have different lengths.
    """
    if len(boxes) != len(gt_boxes):
        raise ValueError(f"encode_boxes needs one ground truth per box, got {len(boxes)} and {len(gt_boxes)}")
    widths, heights, centre_x, centre_y = _sizes_and_centres(boxes)
    gt_widths, gt_heights, gt_x, gt_y = _sizes_and_centres(gt_boxes)
    with np.errstate(divide="ignore", invalid="ignore"):
        # The original guards the centres in this way and not the sizes.
        dx = (gt_x - centre_x) / (widths + 1e-14)
        dy = (gt_y - centre_y) / (heights + 1e-14)
        return np.stack([dx, dy, np.log(gt_widths / widths), np.log(gt_heights / heights)], axis=1)


def decode_boxes(boxes: np.ndarray, deltas: np.ndarray) -> np.ndarray:
    """The boxes that `deltas` (as made by `encode_boxes`) move `boxes` to; dw and dh are not clamped.

    Args:
        boxes: (n, 4).
        deltas: (n, 4 k), k sets of dx, dy, dw, dh per box.

    Returns:
        (n, 4 k) float64.

    Raises:
        ValueError: lengths differ or the deltas are not groups of four.
    """
    if deltas.ndim != 2 or len(deltas) != len(boxes) or deltas.shape[1] % 4:
        raise ValueError(f"decode_boxes needs deltas (n, 4 k) for {len(boxes)} boxes, got {deltas.shape}")
    if len(boxes) == 0:
        return np.zeros((0, deltas.shape[1]))
    # float64 whatever the boxes are, as in the original.
    sizes = _sizes_and_centres(boxes.astype(np.float64))
    widths, heights, centre_x, centre_y = (value[:, np.newaxis] for value in sizes)
    x, y = deltas[:, 0::4] * widths + centre_x, deltas[:, 1::4] * heights + centre_y
    w, h = np.exp(deltas[:, 2::4]) * widths, np.exp(deltas[:, 3::4]) * heights
    corners = [x - 0.5 * (w - 1.0), y - 0.5 * (h - 1.0), x + 0.5 * (w - 1.0), y + 0.5 * (h - 1.0)]
    return np.stack(corners, axis=2).reshape(deltas.shape).astype(np.float64, copy=False)


def clip_boxes(boxes: np.ndarray, im_shape: Sequence[float]) -> np.ndarray:
    """Boxes (n, 4 k) with x limited to [0, W - 1] and y to [0, H - 1]; im_shape starts with H, W.

    Returns a new array of the same type (the original overwrites its argument).
    """
    limits = np.array([im_shape[1] - 1, im_shape[0] - 1] * 2, dtype=boxes.dtype)
    limits = np.tile(limits, boxes.shape[1] // 4)
    return np.maximum(np.minimum(boxes, limits), 0).astype(boxes.dtype, copy=False)


def filter_boxes(boxes: np.ndarray, min_size: float) -> np.ndarray:
    """Indices (m,) of the boxes (n, 4) whose sides are both at least `min_size` pixels."""
    widths = boxes[:, 2] - boxes[:, 0] + 1
    heights = boxes[:, 3] - boxes[:, 1] + 1
    return np.where((widths >= min_size) & (heights >= min_size))[0]


def remove_repetition(boxes: np.ndarray) -> np.ndarray:
    """Ascending indices of boxes (n, 4) with at least one coordinate not seen in an earlier box.

    This is the original's notion of a repeated box: one is dropped only when each of its four coordinates
    occurred before, in whichever boxes.
    """
    firsts = [np.unique(boxes[:, column], return_index=True)[1] for column in range(4)]
    return np.unique(np.concatenate(firsts))
