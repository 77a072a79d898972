"""Label maps as pictures: the VOC palette, palette PNGs, overlays and legends.

A label map is (h, w) of integers, colours are R, G, B, and pictures are (h, w, 3) uint8 in the order their
palette has.
"""

from __future__ import annotations

from typing import Sequence

import cv2
import numpy as np
from PIL import Image

from fullconv.lib.utils import atomic

_FONT, _TEXT, _ROW = cv2.FONT_HERSHEY_SIMPLEX, 0.5, 24


def make_palette(count: int) -> np.ndarray:
    """The colour map of PASCAL VOC, (count, 3) uint8 R, G, B.

    Bits 0, 1, 2 of a label become bit 7 of red, green, blue, the next three bits 6, and so on.
    """
    if not 0 < count <= 256:
        raise ValueError(f"a palette has 1 to 256 colours, not {count}")
    labels = np.arange(count)
    palette = np.zeros((count, 3), np.int64)
    for bit in range(3):
        for channel in range(3):
            palette[:, channel] |= (labels >> (3 * bit + channel) & 1) << (7 - bit)
    return palette.astype(np.uint8)


def colorize(labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """(h, w) labels -> (h, w, 3) uint8 colours. ValueError: a label without a colour."""
    _check_labels(labels, palette)
    return palette[labels]


def overlay(image: np.ndarray, labels: np.ndarray, palette: np.ndarray, alpha: float = 0.5) -> np.ndarray:
    """The colours of labels > 0 laid over an image with weight `alpha`, truncated to uint8.

    The image's share is taken in float32, the colour's in float64, as in the original: truncation shows the difference.

    image: (h, w, 3) uint8 in the palette's channel order. ValueError: sizes that differ, or a label without a colour.
    """
    if image.shape != labels.shape + (3,):
        raise ValueError(f"cannot lay labels {labels.shape} over an image {image.shape}: both must have one size")
    _check_labels(labels, palette)
    shown = labels > 0
    result = image.copy()
    mixed = image[shown].astype(np.float32) * np.float32(1 - alpha) + alpha * palette[labels[shown]].astype(np.float64)
    result[shown] = mixed.astype(np.float32)
    return result


def write_palette_png(path: str, labels: np.ndarray, palette: np.ndarray | None = None) -> None:
    """Write labels (h, w) as a palette PNG: the values are the class indices, the palette only shows them.

    The file is replaced as a whole. Raises ValueError: labels outside 0..255. OSError: cannot be written.
    """
    _check_labels(labels, np.empty((256, 3)))
    picture = Image.fromarray(np.ascontiguousarray(labels, np.uint8), "P")
    colours = np.zeros((256, 3), np.uint8)
    given = make_palette(256) if palette is None else palette
    colours[: len(given)] = given
    picture.putpalette(colours.ravel().tolist())
    atomic.write(path, lambda file: picture.save(file, format="PNG"))


def legend(classes: Sequence[str], palette: np.ndarray, present: Sequence[int] | None = None) -> np.ndarray:
    """A white picture (h, w, 3) uint8 with one line per class: its colour and its name.

    present: the labels to show; default all of them.
    """
    shown = range(len(classes)) if present is None else [label for label in present if label < len(classes)]
    width = max([cv2.getTextSize(classes[label], _FONT, _TEXT, 1)[0][0] for label in shown], default=0)
    picture = np.full((max(_ROW * len(shown), 1), width + 48, 3), 255, np.uint8)
    for row, label in enumerate(shown):
        top = row * _ROW
        cv2.rectangle(picture, (8, top + 4), (32, top + _ROW - 4), palette[label].tolist(), cv2.FILLED)
        cv2.rectangle(picture, (8, top + 4), (32, top + _ROW - 4), (0, 0, 0), 1)
        cv2.putText(picture, classes[label], (40, top + 17), _FONT, _TEXT, (0, 0, 0), 1, cv2.LINE_AA)
    return picture


def _check_labels(labels: np.ndarray, palette: np.ndarray) -> None:
    if labels.ndim != 2 or labels.dtype.kind not in "ui":
        raise ValueError(f"labels must be (h, w) integers, these are {labels.shape} {labels.dtype}")
    if labels.size and not 0 <= labels.min() <= labels.max() < len(palette):
        raise ValueError(f"labels {labels.min()} to {labels.max()} do not fit a palette of {len(palette)} colours")
