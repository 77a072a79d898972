"""Online hard example mining: only the rois with the largest loss train (FCIS's "BoxAnnotatorOHEM")."""

from __future__ import annotations

from typing import Optional, Sequence, Tuple

from fullconv.lib.operators.library import Array, invoke

__all__ = ["box_annotator_ohem"]


def box_annotator_ohem(
    cls_score: Array,
    seg_pred: Array,
    bbox_pred: Array,
    labels: Array,
    mask_targets: Array,
    bbox_targets: Array,
    bbox_weights: Array,
    *,
    roi_per_img: int = 128,
    num_images: int = 1,
    loss_weight: Sequence[float] = (1, 10, 1),
    name: Optional[str] = None,
) -> Tuple[Array, Array, Array]:
    """(labels, mask_targets, bbox_weights) with -1, -1, 0 on all but the `roi_per_img` hardest rois of each image.

    cls_score (R, C) and seg_pred (R, 2, M, M) are raw scores, bbox_pred (R, 4k). labels has R elements in any shape,
    -1 = ignored. mask_targets (R, 1, M, M) holds 0, 1 or -1 = ignored. bbox_targets, bbox_weights (R, 4k). The R rows
    are num_images blocks of equal size.

    A roi's loss is loss_weight . (cross entropy of the class, mean over all M*M pixels of the mask's cross entropy with
    ignored pixels as 0, weighted smooth L1 of the box), as in the original, in float64. Among equal losses the later
    roi is kept (numpy's reversed stable argsort); NaN losses count as largest. No gradient flows to any input.
    Raises MXNetError naming the operator when attributes or shapes do not fit.
    """
    outputs = invoke(
        "fullconv_box_annotator_ohem",
        cls_score,
        seg_pred,
        bbox_pred,
        labels,
        mask_targets,
        bbox_targets,
        bbox_weights,
        name=name,
        roi_per_img=roi_per_img,
        num_images=num_images,
        loss_weight=tuple(map(float, loss_weight)),
    )
    return outputs[0], outputs[1], outputs[2]
