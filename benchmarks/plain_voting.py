"""Mask voting in plain OpenCV and numpy: what `lib.mask.voting` is tested and timed against.

Written from the description of the two versions, one step after the other, with full-image buffers.
"""

from __future__ import annotations

from typing import List, Tuple

import cv2
import numpy as np

from fullconv.lib.nms.nms import py_nms


def plain_overlaps(boxes: np.ndarray, query: np.ndarray) -> np.ndarray:
    """(n, k) float64 IoU with inclusive ends."""
    a, b = boxes[:, np.newaxis].astype(np.float64), query[np.newaxis].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 1
    shared = np.prod(np.maximum(sides, 0), axis=2)
    areas = [np.prod(box[..., 2:] - box[..., :2] + 1, axis=2) for box in (a, b)]
    return shared / (areas[0] + areas[1] - shared)


def select(boxes: np.ndarray, scores: np.ndarray, most: int, nms_thresh: float) -> List[np.ndarray]:
    """Roi indices of the results of each class, background empty."""
    kept = [np.zeros(0, dtype=np.int64)]
    for c in range(1, scores.shape[1]):
        kept.append(py_nms(np.hstack([boxes, scores[:, c : c + 1]]), nms_thresh)[:most])
    best = np.sort(np.concatenate([scores[keep, c] for c, keep in enumerate(kept)]))
    lowest = max(best[-min(len(best), most)], 1e-3)
    return [keep[scores[keep, c] >= lowest] for c, keep in enumerate(kept)]


def bilinear(image: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Samples (len(ys), len(xs)) of an image, positions clamped to it."""
    height, width = image.shape
    xs, ys = np.clip(xs, 0, width - 1), np.clip(ys, 0, height - 1)
    x0, y0 = xs.astype(int), ys.astype(int)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    fx, fy = (xs - x0)[np.newaxis], (ys - y0)[:, np.newaxis]
    top = image[y0][:, x0] * (1 - fx) + image[y0][:, x1] * fx
    bottom = image[y1][:, x0] * (1 - fx) + image[y1][:, x1] * fx
    return top * (1 - fy) + bottom * fy


def crop_resized(votes: np.ndarray, box: Tuple[int, int, int, int], size: int) -> np.ndarray:
    """New mask of the version with OpenCV."""
    x1, y1, x2, y2 = box
    return cv2.resize(votes[y1 : y2 + 1, x1 : x2 + 1], (size, size), interpolation=cv2.INTER_LINEAR)


def image_sampled(votes: np.ndarray, box: Tuple[int, int, int, int], size: int) -> np.ndarray:
    """New mask of the CUDA version."""
    x1, y1, x2, y2 = box
    steps = np.arange(size, dtype=np.float32) + np.float32(0.5)
    xs = x1 + steps * np.float32(x2 - x1 + 1) / np.float32(size) - np.float32(0.5)
    ys = y1 + steps * np.float32(y2 - y1 + 1) / np.float32(size) - np.float32(0.5)
    return bilinear(votes, xs, ys)


def plain_mask_voting(
    masks: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    num_classes: int,
    max_per_image: int,
    im_width: int,
    im_height: int,
    nms_thresh: float = 0.3,
    merge_thresh: float = 0.5,
    binary_thresh: float = 0.4,
    rule: str = "cpu",
) -> Tuple[List[np.ndarray], List[np.ndarray]]:
    """Arguments and results as in `lib.mask.voting.mask_voting`; boxes must lie inside the image."""
    size = masks.shape[-1]
    rounded = np.round(boxes).astype(int)
    covered = [
        cv2.resize(mask[0], (x2 - x1 + 1, y2 - y1 + 1), interpolation=cv2.INTER_LINEAR) >= binary_thresh
        for mask, (x1, y1, x2, y2) in zip(masks, rounded.tolist())
    ]
    out_boxes: List[np.ndarray] = []
    out_masks: List[np.ndarray] = []
    for c, results in enumerate(select(boxes, scores, max_per_image, nms_thresh)):
        found = []
        for result, overlaps in zip(results, plain_overlaps(boxes[results], boxes)):
            members = np.where(overlaps >= merge_thresh)[0]
            weights = scores[members, c] / sum(scores[members, c])
            votes = np.zeros((im_height, im_width), dtype=np.float64 if rule == "cpu" else np.float32)
            for member, weight in zip(members, weights):
                x1, y1, x2, y2 = rounded[member]
                votes[y1 : y2 + 1, x1 : x2 + 1] += covered[member] * weight
            ys, xs = np.where(votes >= binary_thresh)
            if rule == "gpu" and (len(xs) == 0 or xs.max() <= xs.min() or ys.max() <= ys.min()):
                continue
            if len(xs) == 0:
                xs, ys = np.array([im_width // 2]), np.array([im_height // 2])
            box = (xs.min(), ys.min(), xs.max(), ys.max())
            mask = (crop_resized if rule == "cpu" else image_sampled)(votes, box, size)
            found.append(([*box, scores[result, c]], mask.astype(np.float32)))
        out_boxes.append(np.array([box for box, _ in found], dtype=np.float64).reshape(-1, 5))
        out_masks.append(np.array([mask for _, mask in found], dtype=np.float32).reshape(-1, 1, size, size))
    return out_boxes, out_masks
