"""The losses of FCIS and what each is divided by (Li et al., CVPR 2017, section 3.4).

Dimension letters as in `fcis.symbols.heads`.
"""

from __future__ import annotations

from typing import List, Sequence

import mxnet as mx

from fullconv.fcis.symbols.heads import per_image
from fullconv.fcis.symbols.maps import Maps
from fullconv.fcis.symbols.spec import NetworkSpec, TrainSpec

LABEL_NAMES = ("proposal_label", "proposal_bbox_target", "proposal_bbox_weight")


def rpn_losses(maps: Maps, scores: mx.sym.Symbol, train: TrainSpec) -> List[mx.sym.Symbol]:
    """RPN classification and box loss; the box loss is divided by the anchors sampled per image.

    scores: (N, 2, A*h, w). Labels come as the variables of LABEL_NAMES: (N, A*h*w), -1 not sampled, and twice
    (N, 4A, h, w).
    """
    label, target, weight = (mx.sym.Variable(name) for name in LABEL_NAMES)
    cls = mx.sym.SoftmaxOutput(
        scores,
        label,
        multi_output=True,
        normalization="valid",
        use_ignore=True,
        ignore_label=-1,
        grad_scale=1.0,
        name="rpn_cls_prob",
    )
    # Quadratic up to 1/9 of a target's unit; the heads' below up to 1.
    distance = weight * mx.sym.smooth_l1(maps.rpn_bbox_pred - target, scalar=3.0, name="rpn_bbox_loss_")
    # By the anchors asked for, not by those found, as the original.
    scale = 1.0 / (train.losses.rpn_anchors * train.images)
    return [cls, mx.sym.MakeLoss(distance, grad_scale=scale, name="rpn_bbox_loss")]


def head_losses(
    predictions: Sequence[mx.sym.Symbol], targets: Sequence[mx.sym.Symbol], network: NetworkSpec, train: TrainSpec
) -> List[mx.sym.Symbol]:
    """Class, box and mask loss: (N, R, C), (N, R, 4*regressed classes), (N*R, 2, M, M).

    predictions: class scores (N*R, C), mask scores (N*R, 2, M, M) and boxes (N*R, 4*regressed classes). targets: class
    (N*R,), mask (N*R, 1, M, M), -1 in either counting for nothing, box and its weight, both shaped as the boxes.

    The mask loss keeps the original's scale: SoftmaxOutput divides by M*M for multi_output, and the number of rois
    (not of foreground rois) divides the rest.
    """
    cls_score, seg_pred, bbox_pred = predictions
    label, mask_target, bbox_target, bbox_weight = targets
    cls_weight, mask_weight, box_weight = train.losses.weights
    # Rois of all images: losses are the mean over a device's images.
    rois = train.losses.kept_rois * train.images
    # `valid` is the mean over rois with a label, so what mining takes out does not weaken the rest.
    cls_prob = mx.sym.SoftmaxOutput(
        cls_score,
        label,
        normalization="valid",
        use_ignore=True,
        ignore_label=-1,
        grad_scale=cls_weight,
        name="cls_prob",
    )
    seg_prob = mx.sym.SoftmaxOutput(
        seg_pred,
        mask_target,
        multi_output=True,
        normalization="null",
        use_ignore=True,
        ignore_label=-1,
        grad_scale=mask_weight / rois,
        name="seg_prob",
    )
    distance = bbox_weight * mx.sym.smooth_l1(bbox_pred - bbox_target, scalar=1.0, name="bbox_loss_")
    bbox_loss = mx.sym.MakeLoss(distance, grad_scale=box_weight / rois, name="bbox_loss")
    return [
        per_image(cls_prob, "cls_prob_reshape", (network.num_classes,), train.images),
        per_image(bbox_loss, "bbox_loss_reshape", (4 * network.num_reg_classes,), train.images),
        seg_prob,
    ]
