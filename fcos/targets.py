"""What the network learns from an image's objects; locations get theirs in an operator, `fcos_target`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fullconv.fcos.preprocess import Drawn, Size, resized_boxes
from fullconv.fcos.symbols.fcos import level_sizes
from fullconv.fcos.symbols.spec import LossSpec
from fullconv.lib.operators.fcos_target import fcos_target_arrays
from fullconv.lib.structures.entry import Entry

FILLS = {"gt_boxes": -1.0}
"""Padding values where images of a batch differ; class -1 means "none"."""


class Positives(NamedTuple):
    """Of an image: how many locations belong to an object, and the sum of their centerness."""

    number: float
    centerness: float


def padded_count(count: int) -> int:
    """Rows reserved for `count` objects: the next of 1, 2, 4, 8, 16, ... so that few shapes have to be bound."""
    return 1 << max(count - 1, 0).bit_length()


def ground_truth(entry: Entry, size: Size, drawn: Drawn) -> np.ndarray:
    """Boxes with class (G, 5) float32 in the frame of the resized, perhaps mirrored image; the rest has class -1.

    An image may have no object: then all of it is background, where the original would break off.
    """
    objects = np.flatnonzero(entry.classes > 0)
    boxes = np.full((padded_count(len(objects)), 5), -1, np.float32)
    boxes[: len(objects), :4] = resized_boxes(entry.boxes[objects], entry.size, size, drawn.flipped)
    boxes[: len(objects), 4] = entry.classes[objects]
    return boxes


def positives(boxes: np.ndarray, size: Size, loss: LossSpec) -> Positives:
    """Of the boxes (G, 5) of one image of `size`.

    However far a batch pads the image: no location beyond its last pixel is inside a box.
    """
    levels = level_sizes(*size, loss.strides)
    labels, _, centerness = fcos_target_arrays(boxes[None], levels, loss.strides, loss.sizes, loss.radius)
    return Positives(float((labels > 0).sum()), float(centerness.sum(dtype=np.float64)))
