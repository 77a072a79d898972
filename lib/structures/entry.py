"""One image with its objects, as data sets give it to loaders, evaluators and pictures."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Optional, Protocol, Tuple

import numpy as np


class Masks(Protocol):
    """Where the masks of one image's objects come from; they are too large to be kept for a whole data set."""

    def load(self) -> np.ndarray:
        """(n, h, w) bool in the frame of the image file, never mirrored; the caller may change the array."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayMasks:
    """Masks that are in memory: (n, h, w) bool."""

    array: np.ndarray

    def load(self) -> np.ndarray:
        """A copy of the array."""
        return np.array(self.array, bool)


@dataclass(frozen=True, eq=False)
class Entry:
    """An image and its objects. Entries are compared by identity: arrays have no one truth value.

    image: path. image_id: its name in the data set. height, width: of the file, in pixels. boxes: (n, 4) float32
    x1, y1, x2, y2 with inclusive ends in those pixels. classes: (n,) int32 from 1, 0 is the background. masks: None
    where the data has boxes only. flipped: the boxes are those of the mirrored image, which whoever reads image or
    masks mirrors too.

    Raises ValueError: boxes that are not (n, 4), or another number of classes.
    """

    image: str
    image_id: Any
    height: int
    width: int
    boxes: np.ndarray
    classes: np.ndarray
    masks: Optional[Masks] = None
    flipped: bool = False

    def __post_init__(self) -> None:
        boxes, classes = np.asarray(self.boxes, np.float32), np.asarray(self.classes, np.int32).reshape(-1)
        boxes = boxes.reshape(-1, 4) if boxes.size == 0 else boxes
        if boxes.ndim != 2 or boxes.shape[1] != 4 or len(boxes) != len(classes):
            raise ValueError(
                f"{self.image}: boxes of shape {boxes.shape} and {len(classes)} classes: need (n, 4) and n of them"
            )
        # A frozen dataclass has no other way to settle the types of what it was given.
        for name, value in (("boxes", boxes), ("classes", classes)):
            object.__setattr__(self, name, value)

    @property
    def size(self) -> Tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    def mirrored(self) -> Entry:
        """The entry of the mirrored image: x1' = width - x2 - 1, x2' = width - x1 - 1 (original's behaviour)."""
        boxes = self.boxes.copy()
        boxes[:, 0::2] = self.width - self.boxes[:, 2::-2] - 1
        return dataclasses.replace(self, boxes=boxes, flipped=not self.flipped)

    def read_masks(self) -> np.ndarray:
        """Masks (n, height, width) bool in the frame of the boxes, mirrored when the entry is.

        Raises ValueError: the data has boxes only, or masks of another number or size.
        """
        if self.masks is None:
            raise ValueError(
                f"{self.image}: its data set has boxes without masks: read one with masks (for a COCO json, with the "
                "option masks on), or use a method that needs boxes only"
            )
        masks = self.masks.load()
        if masks.shape != (len(self.boxes), *self.size):
            raise ValueError(f"{self.image}: masks of shape {masks.shape}, needed {(len(self.boxes), *self.size)}")
        return np.ascontiguousarray(masks[:, :, ::-1]) if self.flipped else masks
