"""What `FCOS.detect` found, drawn on an image as the original's package draws it; needs no display."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

import cv2
import numpy as np

Results = Sequence[Dict[str, Any]]
"""What `FCOS.detect` returns."""

PALETTE = (2**25 - 1, 2**15 - 1, 2**21 - 1)
WHITE = (255, 255, 255)


def label_colour(label: int) -> Tuple[int, int, int]:
    """Blue, green, red of a label; neighbouring labels are far apart (original)."""
    blue, green, red = (label * factor % 255 for factor in PALETTE)
    return blue, green, red


def overlay_boxes(image: np.ndarray, results: Results) -> np.ndarray:
    """A copy of a BGR image (h, w, 3) uint8 with a frame, two pixels thick, around every result."""
    drawn = np.ascontiguousarray(image).copy()
    for result in results:
        x1, y1, x2, y2 = _pixels(result["box"])
        cv2.rectangle(drawn, (x1, y1), (x2, y2), label_colour(result["label_id"]), 2)
    return drawn


def overlay_class_names(image: np.ndarray, results: Results) -> np.ndarray:
    """A copy of the image with `name: 0.00` in white at the upper left corner of every result."""
    drawn = np.ascontiguousarray(image).copy()
    for result in results:
        x1, y1, _, _ = _pixels(result["box"])
        text = f"{result['label_name']}: {result['score']:.2f}"
        cv2.putText(drawn, text, (x1, y1), cv2.FONT_HERSHEY_SIMPLEX, 0.5, WHITE, 1)
    return drawn


def show_bboxes(image: np.ndarray, results: Results) -> np.ndarray:
    """A copy of the image with frames and names. The original also opens a window, which this leaves to the caller."""
    return overlay_class_names(overlay_boxes(image, results), results)


def _pixels(box: Sequence[float]) -> List[int]:
    return [int(round(side)) for side in box]
