"""Maps of instance ids, one per pixel, as masks and boxes: 0 is background, and 255 is void in maps of 8 bits.

VOC's void is the highest number of its 8-bit PNGs. Programs that write wider maps number more than 254 objects through,
and have no void; so there 255 is an object as any other.
"""

from __future__ import annotations

import numpy as np

VOID = 255


def has_void(labels: np.ndarray) -> bool:
    """Whether 255 means void in a map of this type."""
    return labels.dtype.itemsize == 1


def instance_ids(instances: np.ndarray) -> np.ndarray:
    """Ids in an instance map, ascending, without background and void."""
    ids = np.unique(instances)
    return ids[(ids != 0) & ((ids != VOID) | (not has_void(instances)))]


def instance_masks(instances: np.ndarray) -> np.ndarray:
    """(h, w) instance map -> (n, h, w) bool, in ascending order of id."""
    return instances[None] == instance_ids(instances)[:, None, None]


def mask_boxes(masks: np.ndarray) -> np.ndarray:
    """Tight boxes (n, 4) float32 of non-empty masks (n, h, w), ends inclusive."""
    # Whole numbers of pixels are exact in float32, which the operators take.
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box[:] = columns[0], rows[0], columns[-1], rows[-1]
    return boxes
