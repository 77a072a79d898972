"""What the parts of InstanceFCN get from a configuration, as plain values; nothing else but the scripts sees all of
it."""

from __future__ import annotations

from typing import List, Optional, Sequence, Union

from easydict import EasyDict

from fullconv.instancefcn.checks import IMAGE, VGG
from fullconv.instancefcn.loader import CropSource, ImageSource, TargetSpec
from fullconv.instancefcn.preprocess import InputSpec
from fullconv.instancefcn.symbols.instancefcn import new_layers, output_layers
from fullconv.instancefcn.symbols.maps import feature
from fullconv.instancefcn.symbols.spec import DEEPMASK, LossSpec, NetworkSpec
from fullconv.instancefcn.targets import WindowRule
from fullconv.instancefcn.tester import ResultSpec
from fullconv.instancefcn.weights import Start
from fullconv.lib.core.optimizer.multipliers import Rule
from fullconv.lib.core.sampler import batches_each
from fullconv.lib.core.schedule import MultiFactorSchedule, Warmup
from fullconv.lib.network.norm import NormSpec, norm_of
from fullconv.lib.network.resnet_spec import ResNetSpec, resnet_spec
from fullconv.lib.network.vgg import VGG16Spec, vgg16_spec
from fullconv.lib.structures.entry import Entry

FINE = ((1, 2, 1, 1), (1, 1, 2, 4))
COARSE = ((1, 2, 2, 1), (1, 1, 1, 2))
"""Strides and dilations of a ResNet's stages for a last map of stride 8, and for the baseline's of stride 16."""


def network_spec(config: EasyDict) -> NetworkSpec:
    """The network of a config."""
    network = config.network
    norm = _norm(network)
    side, rank, hidden, mask_side = network.DEEPMASK
    return NetworkSpec(
        body=_body(config, norm),
        feature=network.FEATURE or ("conv5_3" if config.symbol == VGG else "res5"),
        group=network.GROUP,
        window=network.WINDOW,
        rule=network.CELL_RULE,
        hidden=network.HIDDEN,
        norm=norm,
        head=network.HEAD,
        deepmask=(side, rank, hidden, mask_side),
    )


def _norm(network: EasyDict) -> Optional[NormSpec]:
    return norm_of(False, network.GN_CHANNELS) if network.GN_CHANNELS else None


def _body(config: EasyDict, norm: Optional[NormSpec]) -> Union[VGG16Spec, ResNetSpec]:
    coarse = config.network.HEAD == DEEPMASK
    if config.symbol == VGG:
        return vgg16_spec("vgg16" if coarse else "vgg16_stride8", width=config.network.WIDTH)
    strides, dilations = COARSE if coarse else FINE
    return resnet_spec(config.symbol, strides=strides, dilations=dilations, norm=norm or norm_of(False, 0))


def loss_spec(config: EasyDict) -> LossSpec:
    """The losses."""
    objectness, masks = map(float, config.TRAIN.LOSS_WEIGHT)
    return LossSpec(config.TRAIN.LOSS_NORM, (objectness, masks))


def window_rule(train: EasyDict) -> WindowRule:
    """Which windows are drawn."""
    return WindowRule(
        canonical=train.CANONICAL,
        shift=train.SHIFT,
        tolerance=train.SCALE_TOLERANCE,
        negative_shift=train.NEGATIVE_SHIFT,
        negative_scale=train.NEGATIVE_SCALE,
        count=train.WINDOWS,
        positive_share=train.POSITIVE_SHARE,
        fill=train.FILL,
    )


def input_spec(config: EasyDict) -> InputSpec:
    """How images become input."""
    network = config.network
    means = tuple(map(float, network.PIXEL_MEANS))
    relative = bool(config.SCALE_FACTORS)
    scales = tuple(map(float, config.SCALE_FACTORS)) if relative else tuple(config.SCALES)
    return InputSpec(scales, config.MAX_SIZE, means, network.IMAGE_STRIDE, config.TRAIN.FLIP, relative)


def train_source(config: EasyDict, entries: Sequence[Entry]) -> Union[ImageSource, CropSource]:
    """What batches for the training symbol are made of."""
    network, train = network_spec(config), config.TRAIN
    # The baseline's windows are placed as InstanceFCN's, on a map of stride 8, whatever its own.
    stride = 8 if network.head == DEEPMASK else feature(network).stride
    targets = TargetSpec(window_rule(train), network.window, stride, train.MASK_SHARE, train.MASK_WINDOWS)
    inputs = input_spec(config)
    if train.INPUT == IMAGE:
        return ImageSource(entries, inputs, targets, train.seed)
    side = network.deepmask[3] if network.head == DEEPMASK else 0
    return CropSource(entries, inputs, targets, train.CROP_SIDE, side, train.seed)


def start(config: EasyDict) -> Start:
    """What training starts from."""
    network = network_spec(config)
    return Start(config.network.pretrained, new_layers(network), output_layers(network))


def schedule(train: EasyDict) -> Warmup:
    """Learning rate by update."""
    after = MultiFactorSchedule(train.lr, [int(step) for step in train.lr_step])
    return Warmup(after, train.warmup_step + 1 if train.warmup_step else 0, train.warmup_lr)


def accumulated(train: EasyDict, devices: int) -> int:
    """Batches per device and update that make BATCH_IMAGES images on so many devices; of TRAIN or CLASSIFIER.

    Raises ValueError: they cannot.
    """
    return batches_each("BATCH_IMAGES", train.BATCH_IMAGES, train.IMS_PER_DEVICE, devices)


def pieces(train: EasyDict) -> int:
    """Checkpoints of a run."""
    return int(train.max_iter // min(train.snapshot, train.max_iter))


def rules(config: EasyDict) -> List[Rule]:
    """Which arrays stay as they are, and how fast biases learn and decay; the first rule that matches counts."""
    network = config.network
    fixed = [Rule(f"{prefix}*", 0.0) for prefix in network.FIXED_PARAMS if prefix]
    # A normalisation without its file's statistics is trained; with them it stays.
    norms = [] if network.GN_CHANNELS or config.symbol == VGG else [Rule("*_gamma", 0.0), Rule("*_beta", 0.0)]
    return [*fixed, *norms, Rule("*_bias", network.BIAS_LR, network.BIAS_WD)]


def result_spec(config: EasyDict) -> ResultSpec:
    """From maps to proposals."""
    test = config.TEST
    return ResultSpec(test.PROPOSALS, test.MASK_THRESH, test.NMS, test.PRE_NMS)
