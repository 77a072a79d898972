"""What the parts of FCOS get from a configuration, as plain values; nothing else but the scripts sees all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import List, Sequence, Tuple, Union

from easydict import EasyDict

from fullconv.fcos.checks import DLA34, MOBILE, body_name
from fullconv.fcos.postprocess import ResultSpec
from fullconv.fcos.preprocess import InputSpec
from fullconv.fcos.symbols.spec import BodySpec, HeadSpec, LossSpec, NetworkSpec
from fullconv.fcos.tester import ViewSpec
from fullconv.fcos.weights import Start, weight_path
from fullconv.lib.core.optimizer.multipliers import Rule
from fullconv.lib.core.sampler import batches_each
from fullconv.lib.core.schedule import MultiFactorSchedule, Warmup
from fullconv.lib.network.dla import DLASpec
from fullconv.lib.network.fpn import FPNSpec
from fullconv.lib.network.hrfpn import HRFPNSpec
from fullconv.lib.network.hrnet import WIDTHS, HRNetSpec
from fullconv.lib.network.mobilenet_v2 import MobileNetV2Spec
from fullconv.lib.network.norm import FIXED_WITHOUT_EPS, NormSpec
from fullconv.lib.network.resnet_spec import ResNetSpec, resnet_spec
from fullconv.lib.network.vovnet import VOVNETS

NORM_LAYERS = ("bn", "bn?", ".norm", ".1")
"""Last words of the names of the backbones' norms; .1 is what stands behind a convolution .0."""

REFERENCE_BATCH = 16
"""Images of an update that the published learning rates are for."""


def network_spec(config: EasyDict, num_classes: int) -> NetworkSpec:
    """The network of a config for `num_classes` classes with the background, which the data counts."""
    model, fcos = config.MODEL, config.MODEL.FCOS
    head = HeadSpec(
        classes=int(num_classes) - 1,
        convs=fcos.NUM_CONVS,
        shared=fcos.NUM_SHARE_CONVS,
        normalised=fcos.NORM_REG_TARGETS,
        centerness_on_boxes=fcos.CENTERNESS_ON_REG,
        deformable=fcos.USE_DCN_IN_TOWER,
    )
    strides = tuple(fcos.FPN_STRIDES)
    return NetworkSpec(head, _body(model), _pyramid(model, strides), strides)


def _body(model: EasyDict) -> BodySpec:
    name = body_name(model.BACKBONE.CONV_BODY)
    if name == MOBILE:
        # BatchNorm of the batch, as there; with USE_SYNCBN the trainer joins the devices' statistics.
        return MobileNetV2Spec()
    if name in WIDTHS:
        return HRNetSpec(WIDTHS[name], _norm(model))
    if name in VOVNETS:
        return replace(VOVNETS[name], norm=_norm(model))
    return DLASpec(norm=_norm(model)) if name == DLA34 else _resnet(model)


def _pyramid(model: EasyDict, strides: Tuple[int, ...]) -> Union[FPNSpec, HRFPNSpec]:
    channels = model.RESNETS.BACKBONE_OUT_CHANNELS
    if body_name(model.BACKBONE.CONV_BODY) in WIDTHS:
        return HRFPNSpec(strides, channels)
    return FPNSpec(channels=channels, top_from_body=model.RETINANET.USE_C5, top=model.FCOS.TOP_LEVELS)


def _resnet(model: EasyDict) -> ResNetSpec:
    resnets = model.RESNETS
    version = 2 if resnets.WITH_MODULATED_DCN else 1
    c2, c3, c4, c5 = (version if deformable else 0 for deformable in resnets.STAGE_WITH_DCN)
    return resnet_spec(
        body_name(model.BACKBONE.CONV_BODY),
        stem=resnets.STEM_OUT_CHANNELS,
        outputs=resnets.RES2_OUT_CHANNELS,
        groups=resnets.NUM_GROUPS,
        group_width=resnets.WIDTH_PER_GROUP,
        stride_in_1x1=resnets.STRIDE_IN_1X1,
        deformable=(c2, c3, c4, c5),
        norm=_norm(model),
    )


def _norm(model: EasyDict) -> NormSpec:
    """Statistics of the file, or of the batch, or GroupNorm, which can start from nothing."""
    if model.BACKBONE.NORM == "BN":
        return NormSpec("batch")
    if not model.BACKBONE.USE_GN:
        return FIXED_WITHOUT_EPS
    group = model.GROUP_NORM
    if group.DIM_PER_GP > 0:
        return NormSpec("group", eps=group.EPSILON, group_size=group.DIM_PER_GP)
    return NormSpec("group", eps=group.EPSILON, groups=group.NUM_GROUPS)


def loss_spec(config: EasyDict) -> LossSpec:
    """The losses and their targets."""
    fcos = config.MODEL.FCOS
    return LossSpec(
        alpha=fcos.LOSS_ALPHA,
        gamma=fcos.LOSS_GAMMA,
        iou=fcos.IOU_LOSS_TYPE,
        radius=max(fcos.CENTER_SAMPLING_RADIUS, 0.0),
        sizes=tuple(map(float, fcos.SIZES_OF_INTEREST)),
        strides=tuple(fcos.FPN_STRIDES),
        quality=fcos.BOX_QUALITY,
    )


def train_input(config: EasyDict) -> InputSpec:
    """How training images become input."""
    given = config.INPUT
    low, high = given.MIN_SIZE_RANGE_TRAIN
    sizes = range(low, high + 1) if low > 0 else given.MIN_SIZE_TRAIN
    return _input(config, sizes, given.MAX_SIZE_TRAIN, given.FLIP_PROB_TRAIN)


def test_input(config: EasyDict) -> InputSpec:
    """How images to be tested become input."""
    return _input(config, [config.INPUT.MIN_SIZE_TEST], config.INPUT.MAX_SIZE_TEST, 0.0)


test_input.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def _input(config: EasyDict, sizes: Sequence[int], longest: int, flip: float) -> InputSpec:
    given, divisor = config.INPUT, config.DATALOADER.SIZE_DIVISIBILITY
    means, stds = tuple(map(float, given.PIXEL_MEAN)), tuple(map(float, given.PIXEL_STD))
    return InputSpec(tuple(sizes), longest, means, stds, given.TO_BGR255, divisor, flip)


def result_spec(config: EasyDict) -> ResultSpec:
    """From the head's outputs to detections."""
    fcos = config.MODEL.FCOS
    best, strides = config.TEST.DETECTIONS_PER_IMG, tuple(fcos.FPN_STRIDES)
    return ResultSpec(fcos.INFERENCE_TH, fcos.PRE_NMS_TOP_N, fcos.NMS_TH, best, strides=strides)


def view_spec(config: EasyDict) -> ViewSpec:
    """The views of an image besides the plain one."""
    more, given = config.TEST.BBOX_AUG, config.INPUT
    if not more.ENABLED:
        return ViewSpec()
    views = [(given.MIN_SIZE_TEST, given.MAX_SIZE_TEST, True)] if more.H_FLIP else []
    for size in more.SCALES:
        views += [(int(size), more.MAX_SIZE, flipped) for flipped in ((False, True) if more.SCALE_H_FLIP else (False,))]
    return ViewSpec(tuple(views))


def start(config: EasyDict) -> Start:
    """What training starts from."""
    model = config.MODEL
    path = weight_path(model.WEIGHT, config.DATA.model_path)
    return Start(path, model.LEAVE_OUT, model.RESNETS.STAGE_WITH_DCN, model.FCOS.PRIOR_PROB)


def accumulated(config: EasyDict, devices: int) -> int:
    """Batches per device and update that make SOLVER.IMS_PER_BATCH images on so many devices.

    Raises ValueError: they cannot.
    """
    solver = config.SOLVER
    return batches_each("SOLVER.IMS_PER_BATCH", solver.IMS_PER_BATCH, solver.IMS_PER_DEVICE, devices)


def norm_remark(solver: EasyDict, devices: int, update: int) -> str:
    """What MODEL.USE_SYNCBN normalises over, of `update` images that all workers have of an update."""
    images = solver.IMS_PER_DEVICE * devices
    text = f"MODEL.USE_SYNCBN: statistics are of {images} images, {solver.IMS_PER_DEVICE} on each of {devices} devices"
    if images == update:
        return f"{text}, the whole update"
    return (
        f"{text}, not of the {update} of an update: batches that come one after another, and other workers, have "
        "statistics of their own; a larger SOLVER.IMS_PER_DEVICE, or more devices, come closer"
    )


def schedule(solver: EasyDict) -> Warmup:
    """Learning rate by update, the first being the original's iteration 0."""
    after = MultiFactorSchedule(solver.BASE_LR, list(solver.STEPS), solver.GAMMA)
    # Iterations 0 to WARMUP_ITERS - 1 are updates below WARMUP_ITERS + 1.
    return Warmup(after, solver.WARMUP_ITERS + 1, solver.BASE_LR * solver.WARMUP_FACTOR, solver.WARMUP_METHOD)


def rate_advice(solver: EasyDict) -> str:
    """What the linear rule (Goyal et al. 2017) says of another batch than the published 16 images; "" for that."""
    share = solver.IMS_PER_BATCH / REFERENCE_BATCH
    if share == 1:
        return ""
    return (
        f"{solver.IMS_PER_BATCH} images per update instead of {REFERENCE_BATCH}: the linear rule would multiply a rate "
        f"for {REFERENCE_BATCH} by {share:g} and divide iterations by it; SOLVER.BASE_LR is {solver.BASE_LR:g}"
    )


def pieces(solver: EasyDict) -> int:
    """Checkpoints of a run; between two of them are as many iterations as SOLVER.CHECKPOINT_PERIOD says."""
    return int(solver.MAX_ITER // min(solver.CHECKPOINT_PERIOD, solver.MAX_ITER))


def rules(config: EasyDict) -> List[Rule]:
    """Which arrays stay as they are, and how fast the others learn and decay; the first rule that matches counts.

    Whatever is called a bias, normalisations' too, learns faster and does not decay; factors decay (original).
    """
    solver = config.SOLVER
    decay = solver.WEIGHT_DECAY_BIAS / solver.WEIGHT_DECAY if solver.WEIGHT_DECAY else 0.0
    offsets, bias = solver.DCONV_OFFSETS_LR_FACTOR, solver.BIAS_LR_FACTOR
    learning = [
        Rule("*.offset_weight", offsets),
        Rule("*.offset_bias", offsets * bias, decay),
        Rule("*bias*", bias, decay),
        Rule("*_scale", None, 1.0),
    ]
    return [Rule(pattern, 0.0) for pattern in fixed(config.MODEL)] + learning


def fixed(model: EasyDict) -> List[str]:
    """Patterns of arrays that are not trained: fixed normalisations, and the backbone's first stages."""
    body = "backbone.body."
    stages = [f"{body}stem.*"] + [f"{body}layer{number}.*" for number in range(1, 5)]
    frozen = stages[: model.BACKBONE.FREEZE_CONV_BODY_AT]
    trained = body_name(model.BACKBONE.CONV_BODY) == MOBILE or model.BACKBONE.USE_GN or model.BACKBONE.NORM == "BN"
    return frozen + ([] if trained else [f"{body}*{norm}_*" for norm in NORM_LAYERS])
