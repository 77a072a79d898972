"""InstanceFCN's inference in plain numpy: what `lib.mask.instance_proposals` is tested and timed against.

One step after the other for every window: assemble, sigmoid, paste into the image, threshold, box; then suppression.
"""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

Size = Tuple[int, int]
"""(height, width)."""


class PlainProposals(NamedTuple):
    """windows (m, 3) scale, cy, cx; boxes (m, 4) inclusive; scores (m,); grids (m, M, M); masks (m, h, w) bool."""

    windows: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    grids: np.ndarray
    masks: np.ndarray


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) in the type of `logits`."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logits))


def parts(group: int, size: int, rule: str) -> np.ndarray:
    """(size,) which part along one axis a pixel of a window lies in."""
    p = np.arange(size)
    return ((2 * p + 1) * group) // (2 * size) if rule == "centre" else p * group // size


def grid_of(probabilities: np.ndarray, centre: Size, size: int, rule: str) -> np.ndarray:
    """(size, size) of the window at `centre`, NaN off the map. probabilities (k * k, H, W)."""
    group = int(round(len(probabilities) ** 0.5))
    part, half = parts(group, size, rule), size // 2
    rows, columns = (middle - half + np.arange(size) for middle in centre)
    y, x = (np.flatnonzero((at >= 0) & (at < side)) for at, side in zip((rows, columns), probabilities.shape[1:]))
    grid = np.full((size, size), np.nan, np.float32)
    channels = part[y][:, None] * group + part[x]
    grid[np.ix_(y, x)] = probabilities[channels, rows[y][:, None], columns[x]]
    return grid


def taps(side: int, resized: int, stride: int, middle: int, size: int, cells: int) -> Tuple[np.ndarray, ...]:
    """Along one axis: pixels inside the window, the two rows of its grid each lies between, and how far along."""
    at = (np.arange(side) + 0.5) * (resized / side) / stride
    first = middle - size // 2
    inside = np.flatnonzero((at >= first) & (at < first + size))
    where = np.clip(at[inside] - 0.5, max(first, 0), min(first + size, cells) - 1)
    low = np.floor(where).astype(int)
    high = np.minimum(low + 1, min(first + size, cells) - 1)
    return inside, low - first, high - first, (where - low).astype(np.float32)


def paste(grid: np.ndarray, image: Size, scale: Any, centre: Size, stride: int) -> np.ndarray:
    """(h, w) float32 probabilities in the image, 0 outside of the window; bilinear between valid cells."""
    size, cells = len(grid), scale.objectness.shape
    rows, top, bottom, down = taps(image[0], scale.size[0], stride, centre[0], size, cells[0])
    columns, left, right, across = taps(image[1], scale.size[1], stride, centre[1], size, cells[1])
    lines = grid[top] + down[:, None] * (grid[bottom] - grid[top])
    values = np.zeros(image, np.float32)
    values[np.ix_(rows, columns)] = lines[:, left] + across * (lines[:, right] - lines[:, left])
    return values


def tight_box(mask: np.ndarray) -> Optional[List[int]]:
    """x1, y1, x2, y2 with inclusive ends, None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [columns[0], rows[0], columns[-1], rows[-1]] if len(rows) else None


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """IoU of one box with each of (n, 4); sides are x2 - x1 + 1 long."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.maximum(high - low + 1, 0), axis=1)
    areas = [np.prod(b[..., 2:] - b[..., :2] + 1, axis=-1) for b in (box, boxes)]
    return common / (areas[0] + areas[1] - common)


def plain_proposals(
    scales: Sequence[Any],
    image: Size,
    count: int = 1000,
    threshold: float = 0.5,
    nms_threshold: float = 0.8,
    window_size: int = 21,
    rule: str = "centre",
    stride: int = 8,
    lazy: bool = False,
) -> PlainProposals:
    """Arguments as in `lib.mask.instance_proposals.instance_proposals`; `lazy` stops at the last proposal that stays
    instead of pasting all windows first: the same result."""
    scores = sigmoid(np.concatenate([scale.objectness.ravel() for scale in scales]).astype(np.float64))
    probabilities = [sigmoid(scale.score_maps) for scale in scales]
    windows = [
        (s, y, x) for s, scale in enumerate(scales) for y, x in np.ndindex(*scale.objectness.shape)
    ]  # scale-major, then row by row: the order of equal scores
    kept: List[int] = []
    found: List[np.ndarray] = []
    pasted: List[np.ndarray] = []
    for i in np.argsort(-scores, kind="stable"):
        if lazy and len(kept) == count:
            break
        s, *centre = windows[i]
        grid = grid_of(probabilities[s], centre, window_size, rule)
        mask = paste(grid, image, scales[s], centre, stride) >= np.float32(threshold)
        box = tight_box(mask)
        if box is None or len(kept) == count:
            continue
        if not found or not (overlaps(np.array(box, float), np.array(found, float)) > nms_threshold).any():
            kept.append(i)
            found.append(np.array(box))
            pasted.append(mask)
    chosen = np.array(windows, int)[kept].reshape(-1, 3)
    grids = [np.nan_to_num(grid_of(probabilities[s], (y, x), window_size, rule)) for s, y, x in chosen]
    return PlainProposals(
        chosen,
        np.array(found, int).reshape(-1, 4),
        scores[kept],
        np.array(grids, np.float32).reshape(-1, window_size, window_size),
        np.array(pasted, bool).reshape(-1, *image),
    )
