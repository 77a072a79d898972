"""What the parts of FCIS get from a configuration, as plain values; nothing else but the scripts sees all of it."""

from __future__ import annotations

from functools import partial
from typing import Sequence

import mxnet as mx
from easydict import EasyDict

from fullconv.fcis.loader import TrainSource
from fullconv.fcis.preprocess import InputSpec
from fullconv.fcis.symbols.fcis import feature_shape
from fullconv.fcis.symbols.spec import (
    LAYOUTS,
    BoxNormalization,
    FourNumbers,
    LossSpec,
    NetworkSpec,
    ProposalSpec,
    SamplingSpec,
    TestSpec,
    TrainSpec,
)
from fullconv.fcis.tester import ResultSpec
from fullconv.fcis.weights import Start
from fullconv.lib.core.schedule import MultiFactorSchedule, Warmup
from fullconv.lib.experiment.config import parse_numbers
from fullconv.lib.network.norm import norm_of
from fullconv.lib.network.resnet_spec import resnet_spec
from fullconv.lib.rpn.assign_anchor import AnchorConfig
from fullconv.lib.structures.entry import Entry


def network_spec(config: EasyDict, num_classes: int) -> NetworkSpec:
    """The network of a config for `num_classes` classes with the background, which the data counts.

    Raises:
        ValueError: `symbol` names no backbone; the message lists those known.
    """
    network = config.network
    # The published files name the network, resnet_v1_101_fcis; here the backbone's name in it is enough.
    name = config.symbol[: -len("_fcis")] if config.symbol.endswith("_fcis") else config.symbol
    strides, dilations = LAYOUTS[network.RPN_FEAT_STRIDE]
    norm = norm_of(network.BN_TRAINED, network.GN_CHANNELS)
    return NetworkSpec(
        backbone=resnet_spec(name, strides=strides, dilations=dilations, norm=norm),
        num_classes=int(num_classes),
        num_reg_classes=2 if config.CLASS_AGNOSTIC else int(num_classes),
        mask_size=int(config.MASK_SIZE),
        scales=tuple(network.ANCHOR_SCALES),
        ratios=tuple(network.ANCHOR_RATIOS),
        fast_hidden=config.TRAIN.CONVNEW3,
    )


def train_spec(config: EasyDict) -> TrainSpec:
    """What a config's TRAIN says about the training graph."""
    train = config.TRAIN
    sampling = SamplingSpec(
        rois=train.BATCH_ROIS,
        fg_fraction=train.FG_FRACTION,
        fg_thresh=train.FG_THRESH,
        bg_thresh_hi=train.BG_THRESH_HI,
        bg_thresh_lo=train.BG_THRESH_LO,
        binary_thresh=train.BINARY_THRESH,
        bbox_weights=_four(train.BBOX_WEIGHTS),
        normalize=train.BBOX_NORMALIZATION_PRECOMPUTED,
        gap_select_from_all=train.GAP_SELECT_FROM_ALL,
        ignore_gap=train.IGNORE_GAP,
    )
    cls, mask, box = train.LOSS_WEIGHT
    losses = LossSpec(
        weights=(float(cls), float(mask), float(box)),
        rpn_anchors=train.RPN_BATCH_SIZE,
        # Without OHEM all rois count.
        kept_rois=train.BATCH_ROIS_OHEM if train.ENABLE_OHEM else train.BATCH_ROIS,
        hard_examples=train.ENABLE_OHEM,
    )
    return TrainSpec(train.BATCH_IMAGES, _proposals(train), sampling, _box_normalization(config), losses)


def test_spec(config: EasyDict) -> TestSpec:
    """What a config's TEST says about the test graph; box deltas are undone as TRAIN normalised them."""
    test = config.TEST
    return TestSpec(test.BATCH_IMAGES, _proposals(test), _box_normalization(config), test.ITER, test.FUSED_HEAD)


def input_spec(config: EasyDict) -> InputSpec:
    """How images become input."""
    network = config.network
    return InputSpec(tuple(map(tuple, config.SCALES)), tuple(network.PIXEL_MEANS), network.IMAGE_STRIDE)


def anchor_config(config: EasyDict) -> AnchorConfig:
    """Anchor shapes and label thresholds."""
    network, train = config.network, config.TRAIN
    return AnchorConfig(
        stride=network.RPN_FEAT_STRIDE,
        ratios=tuple(network.ANCHOR_RATIOS),
        scales=tuple(network.ANCHOR_SCALES),
        allowed_border=train.RPN_ALLOWED_BORDER,
        batch_size=train.RPN_BATCH_SIZE,
        fg_fraction=train.RPN_FG_FRACTION,
        positive_overlap=train.RPN_POSITIVE_OVERLAP,
        negative_overlap=train.RPN_NEGATIVE_OVERLAP,
        clobber_positives=train.RPN_CLOBBER_POSITIVES,
        bbox_weights=tuple(train.RPN_BBOX_WEIGHTS),
    )


def train_source(config: EasyDict, entries: Sequence[Entry], symbol: mx.sym.Symbol) -> TrainSource:
    """What batches for the training symbol are made of."""
    shape = partial(feature_shape, symbol)
    return TrainSource(entries, input_spec(config), anchor_config(config), shape, config.TRAIN.seed)


def start(config: EasyDict) -> Start:
    """What training starts from."""
    network = config.network
    normalised = bool(network.BN_TRAINED or network.GN_CHANNELS)
    return Start(network.pretrained, network.pretrained_epoch, normalised)


def schedule(train: EasyDict, images: int, images_per_update: int) -> Warmup:
    """Learning rate by update, counted from epoch 0 whatever epoch the run begins with.

    TRAIN.lr_step counts epochs of `images`, mirrored copies included, fractions allowed, as the original does.
    """
    # Cut off, not rounded, as the original: COCO's rate falls at 5.33 epochs.
    steps = [int(epoch * images / images_per_update) for epoch in parse_numbers(train.lr_step)]
    # Warm-up of 0 updates is none.
    return Warmup(MultiFactorSchedule(train.lr, steps), train.warmup_step if train.warmup else 0, train.warmup_lr)


def result_spec(config: EasyDict) -> ResultSpec:
    """From the network's rois to detections."""
    test = config.TEST
    return ResultSpec(
        # The original drops small rois in its second round only.
        min_size=test.MIN_DROP_SIZE if test.ITER == 2 else 0,
        voting_rule=test.MASK_MERGE_RULE if test.USE_MASK_MERGE else "",
        nms=test.NMS,
        merge_thresh=test.MASK_MERGE_THRESH,
        binary_thresh=config.BINARY_THRESH,
        max_per_image=test.max_per_image,
        thresh=test.thresh,
    )


def _proposals(phase: EasyDict) -> ProposalSpec:
    """The limits of TRAIN or TEST."""
    return ProposalSpec(
        phase.RPN_PRE_NMS_TOP_N,
        phase.RPN_POST_NMS_TOP_N,
        phase.RPN_NMS_THRESH,
        phase.RPN_MIN_SIZE,
        phase.CXX_PROPOSAL,
    )


def _box_normalization(config: EasyDict) -> BoxNormalization:
    return BoxNormalization(_four(config.TRAIN.BBOX_MEANS), _four(config.TRAIN.BBOX_STDS))


def _four(values: Sequence[float]) -> FourNumbers:
    a, b, c, d = map(float, values)
    return a, b, c, d
