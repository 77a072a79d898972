"""What the network learns from an image's objects (original section 5.5 and 5.6); rois get theirs in an operator."""

from __future__ import annotations

from typing import Dict, Tuple

import numpy as np

from fullconv.lib.dataset.image import scale_boxes
from fullconv.lib.mask.transform import resize_masks
from fullconv.lib.rpn.assign_anchor import AnchorConfig, assign_anchor
from fullconv.lib.structures.entry import Entry

FILLS = {"gt_boxes": -1.0, "proposal_label": -1.0}
"""Padding values of the arrays below where images of a batch differ; -1 means "none"."""


def padded_count(count: int) -> int:
    """Rows reserved for `count` objects: the next of 1, 2, 4, 8, 16, ... so that few shapes have to be bound."""
    return 1 << max(count - 1, 0).bit_length()


def ground_truth(entry: Entry, im_info: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Boxes with class (G, 5) and masks (G, H, W) at input size, float32; rows past the objects have class -1."""
    size = int(im_info[0]), int(im_info[1])
    # As the original, which takes class 0 for no object.
    objects = np.flatnonzero(entry.classes > 0)
    rows = padded_count(len(objects))
    # -1 in the class is what the operators know padding by; the coordinates are not looked at.
    boxes = np.full((rows, 5), -1, dtype=np.float32)
    masks = np.zeros((rows, *size), dtype=np.float32)
    if len(objects):
        boxes[: len(objects), :4] = scale_boxes(entry.boxes[objects], im_info[2], size)
        boxes[: len(objects), 4] = entry.classes[objects]
        masks[: len(objects)] = resize_masks(entry.read_masks()[objects], size)
    return boxes, masks


def anchor_targets(
    feature_size: Tuple[int, int],
    gt_boxes: np.ndarray,
    im_info: np.ndarray,
    anchors: AnchorConfig,
    rng: np.random.RandomState,
) -> Dict[str, np.ndarray]:
    """RPN label (A*h*w,), box target and weight (4A, h, w) on a map of `feature_size`; `rng` samples anchors."""
    targets = assign_anchor(feature_size, gt_boxes[gt_boxes[:, 4] > 0], im_info, rng, anchors)
    return {f"proposal_{key}": value[0] for key, value in targets.items()}
