"""Masks and the boxes they belong to: cropping, overlap, resizing, averaging.

A mask either covers an image (H, W) or its own box (y2 - y1 + 1, x2 - x1 + 1); boxes are x1, y1, x2, y2 with
inclusive pixel ends. All resizing is OpenCV's bilinear one: half-pixel centres, borders replicated.
"""

from __future__ import annotations

from typing import Sequence, Tuple

import cv2
import numpy as np


def intersect_boxes(box1: np.ndarray, box2: np.ndarray) -> Tuple[int, int, int, int]:
    """x1, y1, x2, y2 (int) common to two integer boxes; empty when x2 < x1 or y2 < y1."""
    x1, y1 = max(box1[0], box2[0]), max(box1[1], box2[1])
    x2, y2 = min(box1[2], box2[2]), min(box1[3], box2[3])
    return int(x1), int(y1), int(x2), int(y2)


def intersect_box_mask(box: np.ndarray, gt_box: np.ndarray, gt_mask: np.ndarray, mask_size: int = 21) -> np.ndarray:
    """The part of an object's mask that a box sees, the rest of the box zero.

    Args:
        box: (4,) integer box.
        gt_box: (4,) integer box of the object; the mask counts only inside it.
        gt_mask: (H, W) mask of the object in the whole image.
        mask_size: side of the zeros returned for boxes that do not meet (the original's 21).

    Returns:
        (h, w) float64 of the size of `box`.

    Raises:
        ValueError: gt_box leaves the mask array.
    """
    height, width = gt_mask.shape
    if gt_box[0] < 0 or gt_box[1] < 0 or gt_box[2] >= width or gt_box[3] >= height:
        raise ValueError(f"gt box {np.asarray(gt_box).tolist()} leaves its mask of {width} x {height} pixels")
    x1, y1, x2, y2 = intersect_boxes(box, gt_box)
    if x1 > x2 or y1 > y2:
        # Not of the box's size: the original answers so, and it is resized to this size next.
        return np.zeros((mask_size, mask_size))
    left, top = int(box[0]), int(box[1])
    result = np.zeros((int(box[3]) - top + 1, int(box[2]) - left + 1))
    result[y1 - top : y2 - top + 1, x1 - left : x2 - left + 1] = gt_mask[y1 : y2 + 1, x1 : x2 + 1]
    return result


def mask_overlap(box1: np.ndarray, box2: np.ndarray, mask1: np.ndarray, mask2: np.ndarray) -> float:
    """Intersection over union of two bool masks inside their own integer boxes; 0 for an empty union."""
    x1, y1, x2, y2 = intersect_boxes(box1, box2)
    if x1 > x2 or y1 > y2:
        return 0.0
    crops = []
    for box, mask in ((box1, mask1), (box2, mask2)):
        left, top = int(box[0]), int(box[1])
        crops.append(mask[y1 - top : y2 - top + 1, x1 - left : x2 - left + 1])
    shared = np.logical_and(*crops).sum()
    # Whole masks, not the crops: what lies outside of the other box counts in the union.
    union = mask1.sum() + mask2.sum() - shared
    return 0.0 if union < 1 else float(shared / union)


def resize_masks(masks: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Masks (n, h, w) at the size (H, W) of the network input, values between 0 and 1 kept at the edges.

    Returns:
        (n, H, W) float32, interpolated in float64 as the original does.

    Raises:
        ValueError: masks is not (n, h, w).
    """
    if masks.ndim != 3:
        raise ValueError(f"resize_masks needs masks of shape (n, h, w), got {masks.shape}")
    height, width = int(size[0]), int(size[1])
    resized = np.zeros((len(masks), height, width), dtype=np.float32)
    # One by one into the result: all of them in float64 at once would take twice the room of the result itself.
    for target, mask in zip(resized, masks):
        target[...] = cv2.resize(mask.astype(np.float64), (width, height), interpolation=cv2.INTER_LINEAR)
    return resized


def mask_aggregation(
    boxes: np.ndarray,
    masks: Sequence[np.ndarray],
    weights: Sequence[float],
    im_width: int,
    im_height: int,
    binary_thresh: float = 0.4,
) -> Tuple[np.ndarray, np.ndarray]:
    """Weighted vote of masks: the pixels that reach `binary_thresh` of the weight and their tight box.

    Args:
        boxes: (n, 4) inside the image; rounded half to even.
        masks: n masks, each of the size of its rounded box, binarised at `binary_thresh`.
        weights: n weights that add up to one.

    Returns:
        the votes (h, w) float64 inside the new box, and the box (4,) float32. Without a pixel that reaches
        the threshold the box is the image's centre pixel.
    """
    votes = np.zeros((im_height, im_width))
    for box, mask, weight in zip(np.round(boxes).astype(int), masks, weights):
        votes[box[1] : box[3] + 1, box[0] : box[2] + 1] += (mask >= binary_thresh) * weight
    rows, columns = np.where(votes >= binary_thresh)
    if len(rows) == 0:
        rows, columns = np.array([im_height // 2]), np.array([im_width // 2])
    x1, x2, y1, y2 = columns.min(), columns.max(), rows.min(), rows.max()
    # A copy, as a view would keep the votes of the whole image in memory.
    return votes[y1 : y2 + 1, x1 : x2 + 1].copy(), np.array([x1, y1, x2, y2], dtype=np.float32)
