"""Anchor boxes of the region proposal network (Faster R-CNN, section 3.1)."""

from __future__ import annotations

from typing import Sequence

import numpy as np


def generate_anchors(
    base_size: int = 16, ratios: Sequence[float] = (0.5, 1, 2), scales: Sequence[float] = (8, 16, 32)
) -> np.ndarray:
    """Anchors around the first cell of the feature map.

    The base box (0, 0, base_size - 1, base_size - 1) is reshaped to each height/width ratio at constant area,
    with sides rounded (half to even), and each result is then enlarged by every scale about its centre.

    Returns:
        (len(ratios) * len(scales), 4) float64, ratio outer and scale inner.
    """
    shapes = np.asarray(ratios, dtype=np.float64)
    widths = np.round(np.sqrt(base_size * base_size / shapes))
    heights = np.round(widths * shapes)
    # Centring twice, first the rounded ratio box and then the scaled one, is the original's arithmetic.
    centre = 0.5 * (base_size - 1)
    half_sides = 0.5 * (np.stack([widths, heights], axis=1) - 1)
    low, sides = centre - half_sides, np.stack([widths, heights], axis=1)
    centres = (low + 0.5 * (sides - 1))[:, np.newaxis, :]
    scaled = 0.5 * (sides[:, np.newaxis, :] * np.asarray(scales, dtype=np.float64)[:, np.newaxis] - 1)
    return np.concatenate([centres - scaled, centres + scaled], axis=2).reshape(-1, 4)


def anchor_grid(anchors: np.ndarray, height: int, width: int, stride: int) -> np.ndarray:
    """Anchors (A, 4) at every cell of a feature map.

    Returns:
        (height * width * A, 4) float64 in image pixels; y slowest, then x, then anchor.
    """
    x, y = np.meshgrid(np.arange(width) * stride, np.arange(height) * stride)
    shifts = np.stack([x, y, x, y], axis=-1).reshape(-1, 1, 4)
    return (shifts + anchors[np.newaxis].astype(np.float64)).reshape(-1, 4)
