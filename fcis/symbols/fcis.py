"""The FCIS network: backbone, region proposals, position-sensitive inside/outside score maps.

Li et al., "Fully Convolutional Instance-aware Semantic Segmentation" (CVPR 2017). Node and parameter names are
the original's, so its files load by name and code that asks for `rois_output` or `seg_pred_output` finds them.

Dimension letters: N images, A anchors per cell, h,w feature size, R rois, C classes with background, M mask size.
"""

from __future__ import annotations

from typing import List, NamedTuple, Tuple

import mxnet as mx

from fullconv.lib.network.norm import norm_of
from fullconv.lib.network.resnet import resnet_v1
from fullconv.lib.operators.box_annotator_ohem import box_annotator_ohem
from fullconv.lib.operators.box_parser import box_parser
from fullconv.lib.operators.channel_operator import group_max, group_pick, group_softmax
from fullconv.lib.operators.fcis_head import fcis_head
from fullconv.lib.operators.proposal import proposal
from fullconv.lib.operators.proposal_annotator import proposal_annotator
from fullconv.lib.operators.psroi_pooling import psroi_pooling

GROUP = 7
"""Position-sensitive grid: 7x7 parts (paper section 3.2)."""

DATA_NAMES = ("data", "im_info", "gt_boxes", "gt_masks", "seed")
LABEL_NAMES = ("proposal_label", "proposal_bbox_target", "proposal_bbox_weight")
NEW_LAYERS = ("rpn_conv_3x3", "rpn_cls_score", "rpn_bbox_pred", "conv_new_1", "fcis_cls_seg", "fcis_bbox")
"""Layers without pretrained weights: normal(0, 0.01) weights, zero biases."""

STAGES = {16: ((1, 2, 2, 1), (1, 1, 1, 2)), 8: ((1, 2, 1, 1), (1, 1, 2, 2))}
"""Feature stride -> strides and dilations of res2..res5; 16 is the published layout."""


class Maps(NamedTuple):
    """What the convolutions compute, before anything is proposed or pooled."""

    rpn_cls_score: mx.sym.Symbol  # (N, 2A, h, w), background scores of all anchors first
    rpn_bbox_pred: mx.sym.Symbol  # (N, 4A, h, w)
    cls_seg: mx.sym.Symbol  # (N, 2C*7*7, h, w), channel ((class*2 + inside)*7 + gy)*7 + gx
    bbox: mx.sym.Symbol  # (N, 8*7*7, h, w)


class FCIS:
    """Builds the training and the test symbol from a config; every shape follows from the config's numbers."""

    def __init__(self, config) -> None:
        self.config = config
        network = config.network
        self.num_classes = int(config.dataset.NUM_CLASSES)
        self.num_anchors = len(network.ANCHOR_SCALES) * len(network.ANCHOR_RATIOS)
        self.num_reg_classes = 2 if config.CLASS_AGNOSTIC else self.num_classes
        self.mask_size = int(config.MASK_SIZE)
        self.stride = int(network.RPN_FEAT_STRIDE)
        if self.stride not in STAGES:
            raise ValueError(f"network.RPN_FEAT_STRIDE={self.stride}: known strides are {sorted(STAGES)}")
        backbone = config.symbol[: -len("_fcis")] if config.symbol.endswith("_fcis") else config.symbol
        self.backbone = resnet_v1(backbone, norm_of(network.BN_TRAINED, network.GN_CHANNELS))

    # ---------------------------------------------------------------------------------------------- the maps

    def maps(self) -> Maps:
        """Backbone, RPN on res4 and the two score maps on res5 (original section 3.2 and 3.3)."""
        strides, dilates = STAGES[self.stride]
        stages = self.backbone.features(mx.sym.Variable("data"), strides, dilates)
        rpn_cls_score, rpn_bbox_pred = self.rpn(stages["res4"])
        cls_seg, bbox = self.score_maps(stages["res5"])
        return Maps(rpn_cls_score, rpn_bbox_pred, cls_seg, bbox)

    def rpn(self, feature: mx.sym.Symbol) -> Tuple[mx.sym.Symbol, mx.sym.Symbol]:
        """Region proposal head; its width follows the backbone's (512 at full width)."""
        channels = self.backbone.channels(512)
        hidden = mx.sym.Convolution(feature, name="rpn_conv_3x3", kernel=(3, 3), pad=(1, 1), num_filter=channels)
        hidden = self.hidden(hidden, channels, "bn_rpn", "rpn_relu")
        score = mx.sym.Convolution(hidden, name="rpn_cls_score", kernel=(1, 1), num_filter=2 * self.num_anchors)
        delta = mx.sym.Convolution(hidden, name="rpn_bbox_pred", kernel=(1, 1), num_filter=4 * self.num_anchors)
        return score, delta

    def score_maps(self, feature: mx.sym.Symbol) -> Tuple[mx.sym.Symbol, mx.sym.Symbol]:
        """Inside/outside score maps of all classes and the class-agnostic box maps."""
        attributes = {"lr_mult": "3.00"} if self.config.TRAIN.CONVNEW3 else None
        channels = self.backbone.channels(1024)
        hidden = mx.sym.Convolution(feature, name="conv_new_1", kernel=(1, 1), num_filter=channels, attr=attributes)
        hidden = self.hidden(hidden, channels, "bn_new_1", "relu_new_1")
        cells = GROUP * GROUP
        cls_seg = mx.sym.Convolution(
            hidden,
            name="fcis_cls_seg",
            kernel=(1, 1),
            num_filter=2 * self.num_classes * cells,
        )
        bbox = mx.sym.Convolution(hidden, name="fcis_bbox", kernel=(1, 1), num_filter=4 * self.num_reg_classes * cells)
        return cls_seg, bbox

    def hidden(self, data: mx.sym.Symbol, channels: int, norm: str, relu: str) -> mx.sym.Symbol:
        """ReLU of a head's hidden layer; normalised first where the backbone trains its normalisation too.

        Without pretrained features to start from, an unnormalised head learns the classes many times slower.
        """
        if self.config.network.BN_TRAINED or self.config.network.GN_CHANNELS:
            return self.backbone.norm(data, norm, channels, relu)
        return mx.sym.Activation(data, act_type="relu", name=relu)

    # ------------------------------------------------------------------------------------- pooling and heads

    def pool(self, maps: mx.sym.Symbol, rois: mx.sym.Symbol, dims: int, name: str) -> mx.sym.Symbol:
        """Position-sensitive RoI pooling to (R, dims, M, M)."""
        return psroi_pooling(
            maps,
            rois,
            spatial_scale=1.0 / self.stride,
            output_dim=dims,
            group_size=GROUP,
            pooled_size=self.mask_size,
            name=name,
        )

    def average(self, pooled: mx.sym.Symbol, dims: int, name: str) -> mx.sym.Symbol:
        """Mean over the roi: (R, dims, M, M) -> (R, dims)."""
        # A mean over axes: the same numbers as global average pooling, whose backward pass is ten times slower here.
        mean = mx.sym.mean(pooled, axis=(2, 3))
        return mx.sym.Reshape(mean, shape=(-1, dims), name=name or None)

    def rpn_probability(self, maps: Maps) -> Tuple[mx.sym.Symbol, mx.sym.Symbol]:
        """RPN scores as (N, 2, A*h, w) for the loss and their softmax as (N, 2A, h, w) for the proposals."""
        scores = mx.sym.Reshape(maps.rpn_cls_score, shape=(0, 2, -1, 0), name="rpn_cls_score_reshape")
        prob = mx.sym.SoftmaxActivation(scores, mode="channel", name="rpn_cls_act")
        return scores, mx.sym.Reshape(prob, shape=(0, 2 * self.num_anchors, -1, 0), name="rpn_cls_act_reshape")

    def propose(
        self, maps: Maps, prob: mx.sym.Symbol, im_info: mx.sym.Symbol, seed: mx.sym.Symbol, phase
    ) -> mx.sym.Symbol:
        """Rois (N*post, 5) from the RPN, with the limits of config.TRAIN or config.TEST."""
        network = self.config.network
        return proposal(
            prob,
            maps.rpn_bbox_pred,
            im_info,
            seed,
            feature_stride=self.stride,
            scales=tuple(network.ANCHOR_SCALES),
            ratios=tuple(network.ANCHOR_RATIOS),
            rpn_pre_nms_top_n=phase.RPN_PRE_NMS_TOP_N,
            rpn_post_nms_top_n=phase.RPN_POST_NMS_TOP_N,
            threshold=phase.RPN_NMS_THRESH,
            rpn_min_size=phase.RPN_MIN_SIZE,
            name="rois",
        )

    # ------------------------------------------------------------------------------------------- training

    def train_symbol(self) -> mx.sym.Symbol:
        """Seven outputs in the original's order; see `fcis.metric` for what each is.

        rpn_cls_prob (N,2,A*h,w), rpn_bbox_loss (N,4A,h,w), cls_prob (N,R,C), bbox_loss (N,R,8),
        seg_prob (N*R,2,M,M), mask target before OHEM (N*R,1,M,M), label after OHEM (N,R).
        """
        train = self.config.TRAIN
        im_info, gt_boxes, gt_masks, seed = (mx.sym.Variable(name) for name in DATA_NAMES[1:])
        maps = self.maps()
        scores, prob = self.rpn_probability(maps)
        rpn_losses = self.rpn_losses(maps, scores)
        rois = self.propose(maps, prob, im_info, seed, train)
        rois, label, bbox_target, bbox_weight, mask_target = self.annotate(rois, gt_boxes, gt_masks, seed)

        cls_seg = self.pool(maps.cls_seg, rois, 2 * self.num_classes, "psroipool_cls_seg")
        cls_score = self.average(group_max(cls_seg, self.num_classes, name="cls_max"), self.num_classes, "cls_score")
        seg_pred = group_pick(cls_seg, mx.sym.Reshape(label, shape=(-1, 1, 1, 1)), self.num_classes, name="seg_pred")
        dims = 4 * self.num_reg_classes
        bbox_pred = self.average(self.pool(maps.bbox, rois, dims, "psroipool_bbox"), dims, "bbox_pred")

        label_loss, mask_loss, weight_loss, kept = label, mask_target, bbox_weight, train.BATCH_ROIS
        if train.ENABLE_OHEM:
            kept = train.BATCH_ROIS_OHEM
            label_loss, mask_loss, weight_loss = box_annotator_ohem(
                cls_score,
                seg_pred,
                bbox_pred,
                label,
                mask_target,
                bbox_target,
                bbox_weight,
                roi_per_img=kept,
                num_images=train.BATCH_IMAGES,
                loss_weight=tuple(train.LOSS_WEIGHT),
                name="annotator_ohem",
            )
        heads = self.head_losses(
            (cls_score, seg_pred, bbox_pred), (label_loss, mask_loss, bbox_target, weight_loss), kept
        )
        targets = [
            mx.sym.BlockGrad(mask_target, name="mask_targets"),
            mx.sym.BlockGrad(self.per_image(label_loss, "label_reshape", ()), name="rcnn_label"),
        ]
        return mx.sym.Group(rpn_losses + heads + targets)

    def annotate(self, rois, gt_boxes, gt_masks, seed) -> List[mx.sym.Symbol]:
        """Sampled rois with class, box and mask targets (original section 4.4)."""
        train = self.config.TRAIN
        return proposal_annotator(
            rois,
            gt_boxes,
            gt_masks,
            seed,
            num_reg_classes=self.num_reg_classes,
            mask_size=self.mask_size,
            batch_images=train.BATCH_IMAGES,
            batch_rois=train.BATCH_ROIS if train.BATCH_ROIS < 0 else train.BATCH_ROIS * train.BATCH_IMAGES,
            fg_fraction=train.FG_FRACTION,
            fg_thresh=train.FG_THRESH,
            bg_thresh_hi=train.BG_THRESH_HI,
            bg_thresh_lo=train.BG_THRESH_LO,
            binary_thresh=train.BINARY_THRESH,
            bbox_means=tuple(train.BBOX_MEANS),
            bbox_stds=tuple(train.BBOX_STDS),
            bbox_weights=tuple(train.BBOX_WEIGHTS),
            normalize=train.BBOX_NORMALIZATION_PRECOMPUTED,
            gap_select_from_all=train.GAP_SELECT_FROM_ALL,
            ignore_gap=train.IGNORE_GAP,
            name="proposal_annotator",
        )

    def rpn_losses(self, maps: Maps, scores: mx.sym.Symbol) -> List[mx.sym.Symbol]:
        """RPN classification and box loss; the box loss is divided by the anchors sampled per image."""
        train = self.config.TRAIN
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
        distance = weight * mx.sym.smooth_l1(maps.rpn_bbox_pred - target, scalar=3.0, name="rpn_bbox_loss_")
        scale = 1.0 / (train.RPN_BATCH_SIZE * train.BATCH_IMAGES)
        return [cls, mx.sym.MakeLoss(distance, grad_scale=scale, name="rpn_bbox_loss")]

    def head_losses(self, predictions, targets, rois_per_image: int) -> List[mx.sym.Symbol]:
        """Class, box and mask loss. `LOSS_WEIGHT` is (class, mask, box), the order the original uses it in.

        The mask loss keeps the original's scale: SoftmaxOutput divides by M*M for multi_output, and the number of
        rois (not of foreground rois) divides the rest.
        """
        cls_score, seg_pred, bbox_pred = predictions
        label, mask_target, bbox_target, bbox_weight = targets
        cls_weight, mask_weight, box_weight = self.config.TRAIN.LOSS_WEIGHT
        rois = rois_per_image * self.config.TRAIN.BATCH_IMAGES
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
            self.per_image(cls_prob, "cls_prob_reshape", (self.num_classes,)),
            self.per_image(bbox_loss, "bbox_loss_reshape", (4 * self.num_reg_classes,)),
            seg_prob,
        ]

    def per_image(self, data: mx.sym.Symbol, name: str, tail: Tuple[int, ...], images: int = 0) -> mx.sym.Symbol:
        """(N*R, ...) -> (N, R, ...)."""
        images = images or self.config.TRAIN.BATCH_IMAGES
        return mx.sym.Reshape(data, shape=(images, -1) + tail, name=name)

    # ------------------------------------------------------------------------------------------------ test

    def test_symbol(self) -> mx.sym.Symbol:
        """rois (T,5), cls_prob (1,T,C), bbox_pred (1,T,8), seg_pred (T,2,M,M), T = 300 rois x TEST.ITER.

        With TEST.ITER 2 the head runs again on the refined boxes and both rounds are returned, first round first.
        """
        test = self.config.TEST
        im_info = mx.sym.Variable("im_info")
        maps = self.maps()
        _, prob = self.rpn_probability(maps)
        rois = self.propose(maps, prob, im_info, mx.sym.zeros(shape=(test.BATCH_IMAGES, 1)), test)
        head = self.fused_head if test.FUSED_HEAD else self.composed_head
        rounds = [(rois,) + head(maps, rois)]
        for _ in range(1, test.ITER):
            rois, cls_prob, bbox_pred, _ = rounds[-1]
            rois = box_parser(
                rois,
                bbox_pred,
                cls_prob,
                im_info,
                means=tuple(self.config.TRAIN.BBOX_MEANS),
                stds=tuple(self.config.TRAIN.BBOX_STDS),
                class_agnostic=bool(self.config.CLASS_AGNOSTIC),
            )
            rounds.append((rois,) + head(maps, rois))
        rois, cls_prob, bbox_pred, seg_pred = (
            mx.sym.concat(*parts, dim=0) if len(rounds) > 1 else parts[0] for parts in zip(*rounds)
        )
        images = test.BATCH_IMAGES
        return mx.sym.Group(
            [
                mx.sym.identity(rois, name="rois"),
                self.per_image(cls_prob, "cls_prob_reshape", (self.num_classes,), images),
                self.per_image(bbox_pred, "bbox_pred_reshape", (4 * self.num_reg_classes,), images),
                mx.sym.identity(seg_pred, name="seg_pred"),
            ]
        )

    def fused_head(self, maps: Maps, rois: mx.sym.Symbol) -> Tuple[mx.sym.Symbol, ...]:
        """Class probabilities, box deltas and masks of the rois in one operator."""
        return tuple(
            fcis_head(
                maps.cls_seg,
                maps.bbox,
                rois,
                spatial_scale=1.0 / self.stride,
                group_size=GROUP,
                pooled_size=self.mask_size,
                num_classes=self.num_classes,
                num_reg=4 * self.num_reg_classes,
            )
        )

    def composed_head(self, maps: Maps, rois: mx.sym.Symbol) -> Tuple[mx.sym.Symbol, ...]:
        """The same from single operators, as the original composes it; `fused_head` is tested against it."""
        cls_seg = self.pool(maps.cls_seg, rois, 2 * self.num_classes, "")
        cls_score = self.average(group_max(cls_seg, self.num_classes), self.num_classes, "")
        cls_prob = mx.sym.SoftmaxActivation(cls_score)
        best = mx.sym.Reshape(cls_prob, shape=(-1, self.num_classes, 1, 1))
        masks = group_softmax(cls_seg, self.num_classes)
        seg_pred = group_pick(masks, best, self.num_classes, pick_type="Score_Pick")
        dims = 4 * self.num_reg_classes
        return cls_prob, self.average(self.pool(maps.bbox, rois, dims, ""), dims, ""), seg_pred


def feature_shape(symbol: mx.sym.Symbol, height: int, width: int) -> Tuple[int, int]:
    """(h, w) of the RPN's map for an input of height x width."""
    scores = symbol.get_internals()["rpn_cls_score_output"]
    _, shapes, _ = scores.infer_shape(data=(1, 3, height, width))
    return int(shapes[0][2]), int(shapes[0][3])
