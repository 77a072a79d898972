"""The training graph of FCIS (Li et al., CVPR 2017, sections 3.3 and 3.4).

Dimension letters as in `fcis.symbols.heads`.
"""

from __future__ import annotations

from typing import NamedTuple, Sequence, Tuple

import mxnet as mx

from fullconv.fcis.symbols.heads import average, per_image, pool, propose, rpn_probability
from fullconv.fcis.symbols.losses import head_losses, rpn_losses
from fullconv.fcis.symbols.maps import Maps, network_maps
from fullconv.fcis.symbols.spec import NetworkSpec, TrainSpec
from fullconv.lib.operators.box_annotator_ohem import box_annotator_ohem
from fullconv.lib.operators.channel_operator import group_max, group_pick
from fullconv.lib.operators.proposal_annotator import proposal_annotator

DATA_NAMES = ("data", "im_info", "gt_boxes", "gt_masks", "seed")


class Targets(NamedTuple):
    """Sampled rois and what is to be predicted for them."""

    rois: mx.sym.Symbol  # (N*R, 5)
    label: mx.sym.Symbol  # (N*R,)
    bbox_target: mx.sym.Symbol  # (N*R, 4*regressed classes)
    bbox_weight: mx.sym.Symbol  # as bbox_target
    mask: mx.sym.Symbol  # (N*R, 1, M, M)


def train_symbol(network: NetworkSpec, train: TrainSpec) -> mx.sym.Symbol:
    """Seven outputs in the original's order; see `fcis.metric` for what each is.

    rpn_cls_prob (N,2,A*h,w), rpn_bbox_loss (N,4A,h,w), cls_prob (N,R,C), bbox_loss (N,R,8),
    seg_prob (N*R,2,M,M), mask target before OHEM (N*R,1,M,M), label after OHEM (N,R).
    """
    im_info, gt_boxes, gt_masks, seed = (mx.sym.Variable(name) for name in DATA_NAMES[1:])
    maps, stride = network_maps(network)
    scores, prob = rpn_probability(maps, network.num_anchors)
    of_rpn = rpn_losses(maps, scores, train)
    rois = propose(maps, prob, im_info, seed, network, stride, train.proposals)
    targets = _annotate(rois, gt_boxes, gt_masks, seed, network, train)
    predictions = _predictions(maps, targets, network, stride)
    counted = _hard_examples(predictions, targets, train) if train.losses.hard_examples else targets
    of_heads = head_losses(
        predictions, (counted.label, counted.mask, counted.bbox_target, counted.bbox_weight), network, train
    )
    # The metrics count masks with the targets before hard example mining, classes with those after it, as the original.
    label = per_image(counted.label, "label_reshape", (), train.images)
    shown = [mx.sym.BlockGrad(targets.mask, name="mask_targets"), mx.sym.BlockGrad(label, name="rcnn_label")]
    return mx.sym.Group(of_rpn + of_heads + shown)


def _annotate(
    rois: mx.sym.Symbol,
    gt_boxes: mx.sym.Symbol,
    gt_masks: mx.sym.Symbol,
    seed: mx.sym.Symbol,
    network: NetworkSpec,
    train: TrainSpec,
) -> Targets:
    """Sampled rois with class, box and mask targets (original section 4.4)."""
    sampling = train.sampling
    outputs = proposal_annotator(
        rois,
        gt_boxes,
        gt_masks,
        seed,
        num_reg_classes=network.num_reg_classes,
        mask_size=network.mask_size,
        batch_images=train.images,
        # The operator counts rois of all images together; -1 stands for all.
        batch_rois=sampling.rois if sampling.rois < 0 else sampling.rois * train.images,
        fg_fraction=sampling.fg_fraction,
        fg_thresh=sampling.fg_thresh,
        bg_thresh_hi=sampling.bg_thresh_hi,
        bg_thresh_lo=sampling.bg_thresh_lo,
        binary_thresh=sampling.binary_thresh,
        bbox_means=train.boxes.means,
        bbox_stds=train.boxes.stds,
        bbox_weights=sampling.bbox_weights,
        normalize=sampling.normalize,
        gap_select_from_all=sampling.gap_select_from_all,
        ignore_gap=sampling.ignore_gap,
        name="proposal_annotator",
    )
    return Targets(*outputs)


def _predictions(
    maps: Maps, targets: Targets, network: NetworkSpec, stride: int
) -> Tuple[mx.sym.Symbol, mx.sym.Symbol, mx.sym.Symbol]:
    """Class scores (N*R, C), mask scores (N*R, 2, M, M) of the class to be learned, boxes (N*R, 4*regressed classes).

    The mask is that of the label before hard example mining, so that mining can look at its loss.
    """
    classes, dims = network.num_classes, 4 * network.num_reg_classes
    cls_seg = pool(maps.cls_seg, targets.rois, network, stride, 2 * classes, "psroipool_cls_seg")
    cls_score = average(group_max(cls_seg, classes, name="cls_max"), classes, "cls_score")
    # The label of background rois, 0, picks a mask as well; its target is -1 everywhere, so nothing is learned from
    # it.
    label = mx.sym.Reshape(targets.label, shape=(-1, 1, 1, 1))
    # Picking costs no convolution: the score maps of all classes are there, and both tasks learn through them.
    seg_pred = group_pick(cls_seg, label, classes, name="seg_pred")
    bbox_pred = average(pool(maps.bbox, targets.rois, network, stride, dims, "psroipool_bbox"), dims, "bbox_pred")
    return cls_score, seg_pred, bbox_pred


def _hard_examples(predictions: Sequence[mx.sym.Symbol], targets: Targets, train: TrainSpec) -> Targets:
    """The targets with all rois but those of largest loss taken out of the losses (Shrivastava et al., CVPR 2016)."""
    cls_score, seg_pred, bbox_pred = predictions
    label, mask, weight = box_annotator_ohem(
        cls_score,
        seg_pred,
        bbox_pred,
        targets.label,
        targets.mask,
        targets.bbox_target,
        targets.bbox_weight,
        roi_per_img=train.losses.kept_rois,
        num_images=train.images,
        loss_weight=train.losses.weights,
        name="annotator_ohem",
    )
    return targets._replace(label=label, mask=mask, bbox_weight=weight)
