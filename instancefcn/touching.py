"""Which objects touch others: what a map of one object's probability per pixel cannot tell apart."""

from __future__ import annotations

import cv2
import numpy as np


def touching(masks: np.ndarray, gap: int) -> np.ndarray:
    """(n,) bool: whether an object comes within `gap` pixels of another, along rows, columns and diagonals.

    masks (n, h, w) bool.
    """
    close = np.zeros(len(masks), bool)
    count = masks.sum(axis=0, dtype=np.int32)
    kernel = np.ones((2 * gap + 1, 2 * gap + 1), np.uint8)
    for number, mask in enumerate(masks):
        # The other objects' pixels alone, also where they overlap this one.
        others = count > mask
        close[number] = bool((cv2.dilate(mask.astype(np.uint8), kernel).astype(bool) & others).any())
    return close
