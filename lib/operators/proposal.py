"""Region proposals from the RPN's scores and deltas (Faster R-CNN, section 3.3; FCIS's operator "proposal").

Boxes are x1, y1, x2, y2 with inclusive pixel ends, in pixels of the network's input image.
"""

from __future__ import annotations

from typing import Optional, Sequence

from fullconv.lib.operators.library import Array, invoke

__all__ = ["proposal"]


def proposal(
    cls_prob: Array,
    bbox_pred: Array,
    im_info: Array,
    seed: Array,
    *,
    feature_stride: int = 16,
    scales: Sequence[float] = (8, 16, 32),
    ratios: Sequence[float] = (0.5, 1, 2),
    rpn_pre_nms_top_n: int = 6000,
    rpn_post_nms_top_n: int = 300,
    threshold: float = 0.7,
    rpn_min_size: float = 16,
    base_size: int = 16,
    output_score: bool = False,
    name: Optional[str] = None,
) -> Array:
    """rois (N * post, 5), the image's index in front; with `output_score` a pair, the second (N * post, 1).

    cls_prob (N, 2A, h, w): A background, then A foreground probabilities. bbox_pred (N, 4A, h, w): channels 4a .. 4a+3
    are dx, dy, dw, dh of anchor a. im_info (N, 3): height, width, scale. seed (N, 1): np.random.seed of each image,
    an integer below 2^24. A = len(ratios) * len(scales), at most 64.

    As the original: anchors cover the grid truncated to int(size / feature_stride); boxes are decoded in float64 and
    clipped; those with a side below rpn_min_size (not multiplied by the scale) are dropped; the best rpn_pre_nms_top_n
    by score (the later first among equals) pass NMS (drop IoU > threshold, float32); if fewer than rpn_post_nms_top_n
    stay, np.random.choice repeats some of them. Unlike it: NaN scores and boxes are dropped, and an image without any
    box left gets the whole image with score 0 instead of an error. No gradient flows to any input.
    Raises MXNetError naming the operator when attributes or shapes do not fit.
    """
    outputs = invoke(
        "fullconv_proposal",
        cls_prob,
        bbox_pred,
        im_info,
        seed,
        name=name,
        feature_stride=feature_stride,
        base_size=base_size,
        scales=tuple(map(float, scales)),
        ratios=tuple(map(float, ratios)),
        rpn_pre_nms_top_n=rpn_pre_nms_top_n,
        rpn_post_nms_top_n=rpn_post_nms_top_n,
        threshold=threshold,
        rpn_min_size=rpn_min_size,
    )
    return (outputs[0], outputs[1]) if output_score else outputs[0]
