"""Maps of numbers as pictures: alone, over the image that they belong to, and many beside each other."""

from __future__ import annotations

from typing import Sequence

import cv2
import numpy as np

GAP = 4
"""White pixels between tiles."""


def heat(values: np.ndarray, factor: int = 1) -> np.ndarray:
    """(h, w) numbers from 0 to 1 as colours from dark to bright, (h * factor, w * factor, 3) uint8 BGR."""
    levels = np.round(255 * np.clip(np.nan_to_num(values), 0, 1)).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)
    return cv2.resize(colours, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)


def over(image: np.ndarray, values: np.ndarray, share: float = 0.6) -> np.ndarray:
    """The colours of a map (h, w), stretched over an image (H, W, 3) uint8 BGR; share: of the colours in it."""
    colours = cv2.resize(heat(values), (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    return cv2.addWeighted(colours, share, image, 1 - share, 0)


def tiles(pictures: Sequence[np.ndarray], columns: int = 3) -> np.ndarray:
    """Pictures (h, w, 3) uint8 in rows of `columns`, on white. Raises ValueError: no picture."""
    if not len(pictures):
        raise ValueError("there is no picture to put into rows")
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    shape = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3)
    sheet = np.full(shape, 255, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = (number // columns) * (height + GAP), (number % columns) * (width + GAP)
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return sheet
