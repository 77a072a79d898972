"""A confusion matrix as a picture."""

from __future__ import annotations

from typing import Sequence

import cv2
import numpy as np

_FONT, _CELL, _GAP = cv2.FONT_HERSHEY_SIMPLEX, 32, 8


def confusion_picture(matrix: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """(C, C) counts, rows are the truth -> (h, w, 3) uint8 B, G, R.

    A cell shows which percentage of the row's pixels got the column's label: darker is more, no number below 0.5. Rows
    of classes that do not occur are hatched.
    """
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape != (len(classes), len(classes)):
        raise ValueError(f"a confusion matrix of {len(classes)} classes must be square, this one is {matrix.shape}")
    totals = matrix.sum(axis=1)
    # A row of nothing divides by 1 and stays 0.
    shares = matrix / np.maximum(totals, 1)[:, None]
    margin = max(cv2.getTextSize(name, _FONT, 0.45, 1)[0][0] for name in classes) + 2 * _GAP
    side = margin + _CELL * len(classes) + _GAP
    picture = np.full((side, side, 3), 255, np.uint8)
    for row in range(len(classes)):
        for column in range(len(classes)):
            place = (margin + column * _CELL, margin + row * _CELL)
            _cell(picture, place, shares[row, column], occurs=totals[row] > 0)
    _names(picture, classes, margin)
    return picture


def _cell(picture: np.ndarray, place: tuple[int, int], share: float, occurs: bool) -> None:
    x, y = place
    shade = int(round(255 * (1 - share)))
    cv2.rectangle(picture, (x, y), (x + _CELL - 1, y + _CELL - 1), (255, shade, shade), cv2.FILLED)
    cv2.rectangle(picture, (x, y), (x + _CELL - 1, y + _CELL - 1), (220, 220, 220), 1)
    if not occurs:
        cv2.line(picture, (x, y + _CELL - 1), (x + _CELL - 1, y), (200, 200, 200), 1, cv2.LINE_AA)
    elif share >= 0.005:
        # White on the darker half of the shades.
        colour = (255, 255, 255) if share > 0.5 else (0, 0, 0)
        text = f"{100 * share:.0f}"
        width = cv2.getTextSize(text, _FONT, 0.4, 1)[0][0]
        cv2.putText(picture, text, (x + (_CELL - width) // 2, y + 21), _FONT, 0.4, colour, 1, cv2.LINE_AA)


def _names(picture: np.ndarray, classes: Sequence[str], margin: int) -> None:
    """Row names to the left and column names, turned, at the top."""
    for index, name in enumerate(classes):
        width = cv2.getTextSize(name, _FONT, 0.45, 1)[0][0]
        strip = np.full((_CELL, margin, 3), 255, np.uint8)
        cv2.putText(strip, name, (margin - width - _GAP, 21), _FONT, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        start = margin + index * _CELL
        picture[start : start + _CELL, :margin] = strip
        # A name is drawn lying and turned, as OpenCV writes in one direction only.
        picture[:margin, start : start + _CELL] = cv2.rotate(strip, cv2.ROTATE_90_CLOCKWISE)
