"""Proposals of a network whose windows have masks of their own, as the baseline's: visited in the order of scores.

The same steps as `lib.mask.instance_proposals` takes for windows that are assembled from shared maps.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from fullconv.instancefcn.symbols.spec import WindowSpec
from fullconv.lib.bbox.overlaps import bbox_overlaps
from fullconv.lib.mask.instance_proposals import Proposals, ScaleMaps
from fullconv.lib.utils.sigmoid import sigmoid

Size = Tuple[int, int]


class Segment(NamedTuple):
    """box: x1, y1, x2, y2 tight around the mask, ends inclusive. crop: the mask inside of it."""

    box: Tuple[int, int, int, int]
    crop: np.ndarray


def slide(
    scales: Sequence[ScaleMaps],
    image: Size,
    windows: WindowSpec,
    count: int = 1000,
    thresh: float = 0.5,
    nms: float = 0.8,
    candidates: int = 0,
) -> Proposals:
    """The `count` best segments of an image of size (h, w) over all its scales.

    scales: `score_maps` (M * M, H, W) hold the mask of each window, row-major. windows: where they are. thresh:
    probability from which a pixel is the object's. nms: a box that overlaps one that stayed by more is dropped.
    candidates: look at so many of the best windows only; 0 looks at all.
    """
    scores = sigmoid(np.concatenate([scale.objectness.ravel() for scale in scales]).astype(np.float64))
    order = np.argsort(-scores, kind="stable")[: len(scores) - int(np.isnan(scores).sum())]
    places, boxes = _places(scales), np.empty((count, 4))
    kept: List[int] = []
    segments: List[Segment] = []
    for number in order[: candidates or None]:
        if len(kept) == count:
            break
        scale, row, column = places[number]
        grid = _grid(scales[scale], windows, row, column)
        segment = paste(grid, (row, column), windows, scales[scale].size, image, thresh)
        if segment is None:
            continue
        box = np.array([segment.box], np.float64)
        if len(kept) and bbox_overlaps(box, boxes[: len(kept)]).max() > nms:
            continue
        boxes[len(kept)] = box
        kept.append(number)
        segments.append(segment)
    grids = [_grid(scales[scale], windows, row, column) for scale, row, column in places[kept]]
    return Proposals(
        places[kept],
        boxes[: len(kept)].astype(np.int32),
        scores[kept],
        [segment.crop for segment in segments],
        np.array(grids, np.float32).reshape(len(kept), windows.size, windows.size),
        image,
    )


def _places(scales: Sequence[ScaleMaps]) -> np.ndarray:
    """(n, 3) int64: scale, row, column of every window."""
    parts = [np.argwhere(np.ones(scale.objectness.shape, bool)) for scale in scales]
    numbers = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return np.concatenate([numbers[:, None], np.concatenate(parts)], axis=1).astype(np.int64)


def _grid(scale: ScaleMaps, windows: WindowSpec, row: int, column: int) -> np.ndarray:
    return sigmoid(scale.score_maps[:, row, column].reshape(windows.size, windows.size))


def paste(
    grid: np.ndarray, place: Tuple[int, int], windows: WindowSpec, resized: Size, image: Size, thresh: float = 0.5
) -> Optional[Segment]:
    """A window's mask in an image; None without a pixel.

    grid (M, M): probabilities. place: row and column of the window. resized, image: (height, width) of the image as the
    network saw it and as it is.
    """
    pieces = [_along(p, windows, new, old) for p, new, old in zip(place, resized, image)]
    if any(len(weights) == 0 for _, weights in pieces):
        return None
    (top, down), (left, across) = pieces
    mask = down @ grid @ across.T >= thresh
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    crop = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    x1, y1 = left + int(columns[0]), top + int(rows[0])
    return Segment((x1, y1, x1 + crop.shape[1] - 1, y1 + crop.shape[0] - 1), crop)


def _along(place: int, windows: WindowSpec, resized: int, image: int) -> Tuple[int, np.ndarray]:
    """First pixel of an image's axis that a window covers, and (pixels, M) the weights of its cells at each."""
    middle = windows.stride * place + windows.stride / 2 + windows.shift
    start = middle - windows.size * windows.cell / 2
    cells = ((np.arange(image) + 0.5) * (resized / image) - start) / windows.cell
    pixels = np.flatnonzero((cells >= 0) & (cells < windows.size))
    # Between the middles of two cells; beyond the outer ones those alone.
    at = np.clip(cells[pixels] - 0.5, 0, windows.size - 1)
    low = np.minimum(at.astype(int), windows.size - 2)
    weights = np.zeros((len(pixels), windows.size), np.float32)
    weights[np.arange(len(pixels)), low] = 1 - (at - low)
    weights[np.arange(len(pixels)), low + 1] = at - low
    return (int(pixels[0]) if len(pixels) else 0), weights
