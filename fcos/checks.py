"""Which values of a configuration fit together."""

from __future__ import annotations

from typing import Any, Set, Tuple

from easydict import EasyDict

from fullconv.lib.core.optimizer import OPTIMIZERS
from fullconv.lib.core.schedule import WARMUP_FORMS
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.config import ConfigError
from fullconv.lib.network.hrnet import WIDTHS
from fullconv.lib.network.resnet_spec import FCOS_NAMES, RESNETS
from fullconv.lib.network.vovnet import VOVNETS

SUFFIX = "-FPN-RETINANET"
STRIDES = [4, 8, 16, 32, 64, 128]
MOBILE, DLA34 = "MNV2", "DLA-34"
RESNET_BODIES = tuple(n for n, spec in RESNETS.items() if spec.names == FCOS_NAMES and not n.startswith("X-"))
BODIES = (*RESNET_BODIES, MOBILE, *WIDTHS, *VOVNETS, DLA34)
"""What stands in front of the suffix in MODEL.BACKBONE.CONV_BODY."""

IOU_LOSSES = ("iou", "linear_iou", "giou")
QUALITIES = ("ctrness", "iou")
BACKBONE_NORMS = ("FrozenBN", "BN")


def check(config: EasyDict, given: Set[str]) -> None:
    """Refuse values that do not fit together. given: dotted keys that a file or the command line set.

    Raises:
        ConfigError: names the key, the value and what it must be.
    """
    _check_supported(config, given)
    _check_backbone(config.MODEL)
    _check_head(config.MODEL.FCOS)
    _check_levels(config.MODEL)
    _check_numbers(config)
    _check_solver(config.SOLVER)


def body_name(conv_body: str) -> str:
    """`R-50` of `R-50-FPN-RETINANET`."""
    return conv_body[: -len(SUFFIX)] if conv_body.endswith(SUFFIX) else conv_body


def _check_supported(config: EasyDict, given: Set[str]) -> None:
    model = config.MODEL
    if "MODEL.BACKBONE.CONV_BODY" in given:
        names = [name + SUFFIX for name in BODIES]
        _one_of("MODEL.BACKBONE.CONV_BODY", model.BACKBONE.CONV_BODY, names)
    _one_of("MODEL.META_ARCHITECTURE", model.META_ARCHITECTURE, ["GeneralizedRCNN"])
    for key in ("FCOS_ON", "RPN_ONLY"):
        if f"MODEL.{key}" in given and not model[key]:
            raise ConfigError(f"MODEL.{key} is false; this folder holds FCOS alone (true)")
    for key in ("MASK_ON", "KEYPOINT_ON", "RETINANET_ON", "FPN.USE_GN", "FPN.USE_RELU"):
        if dict(base.flatten(model))[key]:
            raise ConfigError(f"MODEL.{key} is true; no published FCOS has that, and neither has this one (false)")
    _one_of("MODEL.RESNETS.TRANS_FUNC", model.RESNETS.TRANS_FUNC, ["BottleneckWithFixedBatchNorm"])
    _one_of("MODEL.RESNETS.STEM_FUNC", model.RESNETS.STEM_FUNC, ["StemWithFixedBatchNorm"])
    # The original splits offsets and weights at a fixed place, which is right for one group only.
    _one_of("MODEL.RESNETS.DEFORMABLE_GROUPS", model.RESNETS.DEFORMABLE_GROUPS, [1])
    if len(model.RESNETS.STAGE_WITH_DCN) != 4:
        raise ConfigError(f"MODEL.RESNETS.STAGE_WITH_DCN is {model.RESNETS.STAGE_WITH_DCN}; it says it of four stages")


def _check_backbone(model: EasyDict) -> None:
    body, backbone = body_name(model.BACKBONE.CONV_BODY), model.BACKBONE
    _one_of("MODEL.BACKBONE.NORM", backbone.NORM, BACKBONE_NORMS)
    if body in BODIES and body not in RESNET_BODIES and backbone.FREEZE_CONV_BODY_AT:
        raise ConfigError(
            f"MODEL.BACKBONE.FREEZE_CONV_BODY_AT must be 0 for {body}: only of a ResNet can the first stages stay as "
            "they are"
        )
    if backbone.NORM == "BN" and (backbone.USE_GN or backbone.FREEZE_CONV_BODY_AT):
        raise ConfigError(
            "MODEL.BACKBONE.NORM is BN, which trains the whole backbone by the batch's statistics: set USE_GN false "
            "and FREEZE_CONV_BODY_AT 0"
        )
    if model.USE_SYNCBN and backbone.NORM != "BN" and body != MOBILE:
        raise ConfigError(
            f"MODEL.USE_SYNCBN is true, but {body} has no batch norm that is trained: set MODEL.BACKBONE.NORM BN"
        )


def _check_levels(model: EasyDict) -> None:
    head, strides = model.FCOS, list(model.FCOS.FPN_STRIDES)
    _one_of("MODEL.FCOS.TOP_LEVELS", head.TOP_LEVELS, (0, 1, 2))
    if body_name(model.BACKBONE.CONV_BODY) in WIDTHS:
        # HRNet's pyramid has any level that its finest branch can be averaged to.
        _one_of("MODEL.FCOS.FPN_STRIDES", strides, [STRIDES[start:] for start in (0, 1)])
    else:
        _one_of("MODEL.FCOS.FPN_STRIDES", strides, [STRIDES[1 : 4 + head.TOP_LEVELS]])
    sizes = list(head.SIZES_OF_INTEREST)
    if len(sizes) != len(strides) - 1 or sizes != sorted(sizes):
        raise ConfigError(
            f"MODEL.FCOS.SIZES_OF_INTEREST is {sizes}; it takes {len(strides) - 1} ascending numbers for "
            f"{len(strides)} levels"
        )


def _check_head(head: EasyDict) -> None:
    _one_of("MODEL.FCOS.IOU_LOSS_TYPE", head.IOU_LOSS_TYPE, IOU_LOSSES)
    _one_of("MODEL.FCOS.BOX_QUALITY", head.BOX_QUALITY, QUALITIES)
    if head.NUM_CONVS < 0 or head.NUM_SHARE_CONVS < 0 or not head.NUM_CONVS + head.NUM_SHARE_CONVS:
        raise ConfigError(
            f"MODEL.FCOS.NUM_CONVS is {head.NUM_CONVS} and NUM_SHARE_CONVS {head.NUM_SHARE_CONVS}; none below 0, and "
            "one of them at least 1, is needed"
        )
    if head.USE_DCN_IN_TOWER and not head.NUM_CONVS:
        raise ConfigError(
            "MODEL.FCOS.USE_DCN_IN_TOWER is true, but with NUM_CONVS 0 the towers have no last convolution: set it "
            "false"
        )
    if not 0 < head.PRIOR_PROB < 1:
        raise ConfigError(f"MODEL.FCOS.PRIOR_PROB is {head.PRIOR_PROB}; a probability between 0 and 1 is needed")
    if head.NUM_CLASSES < 0 or head.NUM_CLASSES == 1:
        raise ConfigError(
            f"MODEL.FCOS.NUM_CLASSES is {head.NUM_CLASSES}; it counts the background, and 0 takes the data's number"
        )


def _check_numbers(config: EasyDict) -> None:
    leaves = dict(base.flatten(config))
    positive = (
        "RUN.frequent SOLVER.IMS_PER_BATCH SOLVER.IMS_PER_DEVICE SOLVER.MAX_ITER SOLVER.CHECKPOINT_PERIOD "
        "MODEL.FCOS.PRE_NMS_TOP_N INPUT.MAX_SIZE_TRAIN INPUT.MIN_SIZE_TEST INPUT.MAX_SIZE_TEST"
    )
    for key in positive.split():
        if leaves[key] < 1:
            raise ConfigError(f"{key} is {leaves[key]}; it must be at least 1")
    channels = config.MODEL.RESNETS.BACKBONE_OUT_CHANNELS
    if channels % 32:
        raise ConfigError(
            f"MODEL.RESNETS.BACKBONE_OUT_CHANNELS is {channels}; the head's GroupNorm has 32 groups: take a multiple"
        )
    low, high = _pair("INPUT.MIN_SIZE_RANGE_TRAIN", config.INPUT.MIN_SIZE_RANGE_TRAIN)
    sizes = config.INPUT.MIN_SIZE_TRAIN
    if low > high or (low < 1 and (not sizes or min(sizes) < 1)):
        raise ConfigError(
            f"INPUT.MIN_SIZE_TRAIN is {sizes} and MIN_SIZE_RANGE_TRAIN {[low, high]}; short sides in pixels, "
            "from 1 on, are needed, and the range -1, -1 or ascending"
        )


def _check_solver(solver: EasyDict) -> None:
    _one_of("SOLVER.WARMUP_METHOD", solver.WARMUP_METHOD, WARMUP_FORMS)
    _one_of("SOLVER.OPTIMIZER", solver.OPTIMIZER, OPTIMIZERS)
    if solver.IMS_PER_BATCH % solver.IMS_PER_DEVICE:
        raise ConfigError(
            f"SOLVER.IMS_PER_BATCH is {solver.IMS_PER_BATCH}, no multiple of IMS_PER_DEVICE {solver.IMS_PER_DEVICE}"
        )
    if solver.MAX_ITER % min(solver.CHECKPOINT_PERIOD, solver.MAX_ITER):
        raise ConfigError(
            f"SOLVER.MAX_ITER is {solver.MAX_ITER}, no multiple of CHECKPOINT_PERIOD {solver.CHECKPOINT_PERIOD}: "
            "the last iterations would leave no checkpoint"
        )


def _pair(key: str, values: Any) -> Tuple[int, int]:
    if len(values) != 2:
        raise ConfigError(f"{key} is {list(values)}; it takes two numbers")
    return values[0], values[1]


def _one_of(key: str, value: Any, known: Any) -> None:
    if value not in known:
        raise ConfigError(f"{key} is {value!r}; it must be one of {', '.join(map(str, known))}")
