"""Label maps as pictures: overlays and legends.

A label map is (h, w) of integers, colours are R, G, B, and pictures are (h, w, 3) uint8 in the order their
palette has.
"""

from __future__ import annotations

from typing import Sequence

import cv2
import numpy as np

from fullconv.lib.dataset.segmentation.palette import check_labels

_FONT, _TEXT, _ROW = cv2.FONT_HERSHEY_SIMPLEX, 0.5, 24


def colorize(labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """(h, w) labels -> (h, w, 3) uint8 colours. ValueError: a label without a colour."""
    check_labels(labels, len(palette))
    return palette[labels]


def overlay(image: np.ndarray, labels: np.ndarray, palette: np.ndarray, alpha: float = 0.5) -> np.ndarray:
    """The colours of labels > 0 laid over an image with weight `alpha`, truncated to uint8.

    The image's share is taken in float32, the colour's in float64, as in the original: truncation shows the difference.

    image: (h, w, 3) uint8 in the palette's channel order. ValueError: sizes that differ, or a label without a colour.
    """
    if image.shape != labels.shape + (3,):
        raise ValueError(f"cannot lay labels {labels.shape} over an image {image.shape}: both must have one size")
    check_labels(labels, len(palette))
    shown = labels > 0
    result = image.copy()
    mixed = image[shown].astype(np.float32) * np.float32(1 - alpha) + alpha * palette[labels[shown]].astype(np.float64)
    # Into an array of uint8, which cuts off what is behind the point.
    result[shown] = mixed.astype(np.float32)
    return result


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
