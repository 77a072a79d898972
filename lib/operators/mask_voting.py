"""Mask voting as an operator, with the rules of the originals' CUDA version (see lib/mask/voting.py)."""

from __future__ import annotations

from typing import Optional

from fullconv.lib.operators.library import Array, invoke

__all__ = ["mask_voting"]


def mask_voting(
    masks: Array,
    boxes: Array,
    scores: Array,
    max_per_image: int,
    im_width: int,
    im_height: int,
    capacity: int,
    nms_thresh: float = 0.3,
    merge_thresh: float = 0.5,
    binary_thresh: float = 0.4,
    name: Optional[str] = None,
) -> Array:
    """Detections of one image; three outputs of fixed size, no gradient.

    masks (n, 1, M, M), boxes (n, 4) in image pixels, scores (n, C) with the background first.
    dets (capacity, 6): class, x1, y1, x2, y2, score, ordered by class, then score; class -1 marks a row without a
    result, in the middle (one dropped for its size) or at the end. out_masks (capacity, 1, M, M). count (1,): results
    found; more than `capacity` means that equal scores made more than max_per_image and the last were left out.
    """
    return invoke(
        "fullconv_mask_voting",
        masks,
        boxes,
        scores,
        name=name,
        max_per_image=max_per_image,
        im_width=im_width,
        im_height=im_height,
        capacity=capacity,
        nms_thresh=nms_thresh,
        merge_thresh=merge_thresh,
        binary_thresh=binary_thresh,
    )
