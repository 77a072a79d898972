"""Samples rois for the second stage and makes their class, box and mask targets (FCIS's "proposal_annotator").

Boxes are x1, y1, x2, y2 with inclusive pixel ends, in pixels of the network's input image.
"""

from __future__ import annotations

from typing import Optional, Sequence, Tuple

from fullconv.lib.operators.library import Array, invoke

__all__ = ["proposal_annotator"]


def proposal_annotator(
    rois: Array,
    gt_boxes: Array,
    gt_masks: Array,
    seed: Array,
    *,
    batch_rois: int = 128,
    batch_images: int = 1,
    fg_fraction: float = 0.25,
    fg_thresh: float = 0.5,
    bg_thresh_hi: float = 0.5,
    bg_thresh_lo: float = 0.0,
    bbox_means: Sequence[float] = (0.0, 0.0, 0.0, 0.0),
    bbox_stds: Sequence[float] = (0.2, 0.2, 0.5, 0.5),
    bbox_weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    normalize: bool = True,
    gap_select_from_all: bool = False,
    ignore_gap: bool = False,
    binary_thresh: float = 0.4,
    mask_size: int = 21,
    num_reg_classes: int = 2,
    name: Optional[str] = None,
) -> Tuple[Array, Array, Array, Array, Array]:
    """(rois (N*R, 5), label (N*R,), bbox_target, bbox_weight (N*R, 4*num_reg_classes), mask_target (N*R, 1, M, M)).

    rois (N*P, 5), P per image, image after image. gt_boxes (N, G, 5): box and class; rows with class <= 0 are padding
    and change nothing but the number of rows below. gt_masks (N, G, H, W), values 0 to 1, at network input size. seed
    (N, 1): np.random.seed of each image, an integer below 2^24. M = mask_size. R = batch_rois // batch_images rows per
    image; batch_rois -1 takes all, R = P + G, and the last rows (one per padding row) repeat the first roi with label
    -1, weight 0 and mask -1. num_reg_classes 2 is class-agnostic: targets are in columns 4..7.

    The attributes are the original's TRAIN.* keys (`normalize`: BBOX_NORMALIZATION_PRECOMPUTED), with its sampling and
    its order of np.random.choice calls. Unlike it: an image without ground truth gives background rows only; a gap
    larger than the set to fill it from takes that set repeatedly (all candidates, if it is empty); ground truth boxes
    that leave the mask array are cut off. No gradient flows to any input.
    Raises MXNetError naming the operator when attributes or shapes do not fit.
    """
    inputs = rois, gt_boxes, gt_masks, seed
    outputs = invoke(
        "fullconv_proposal_annotator",
        *inputs,
        name=name,
        batch_rois=batch_rois,
        batch_images=batch_images,
        fg_fraction=fg_fraction,
        fg_thresh=fg_thresh,
        bg_thresh_hi=bg_thresh_hi,
        bg_thresh_lo=bg_thresh_lo,
        bbox_means=tuple(map(float, bbox_means)),
        bbox_stds=tuple(map(float, bbox_stds)),
        bbox_weights=tuple(map(float, bbox_weights)),
        normalize=normalize,
        gap_select_from_all=gap_select_from_all,
        ignore_gap=ignore_gap,
        binary_thresh=binary_thresh,
        mask_size=mask_size,
        num_reg_classes=num_reg_classes,
    )
    rows, label, target, weight, mask = (outputs[i] for i in range(5))
    return rows, label, target, weight, mask
