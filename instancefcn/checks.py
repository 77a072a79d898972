"""Which values of a configuration fit together."""

from __future__ import annotations

from typing import Set

from easydict import EasyDict

from fullconv.instancefcn.loader import MASK_WINDOWS
from fullconv.instancefcn.symbols.spec import DEEPMASK, HEADS, LOSS_NORMS
from fullconv.lib.core.optimizer import OPTIMIZERS
from fullconv.lib.dataset.registry import DETECTION, READERS
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.config import ConfigError
from fullconv.lib.network.resnet_spec import RESNETS

VGG = "vgg16"
IMAGE, CROP = INPUTS = ("image", "crop")
RULES = ("centre", "floor")
FILLS = ("rpn", "strict")
DEFINITIONS = ("coco", "best", "cover")


def check(config: EasyDict, given: Set[str]) -> None:
    """Refuse values that do not fit together.

    Raises:
        ConfigError: names the key, the value and what it must be.
    """
    network, train, test = config.network, config.TRAIN, config.TEST
    known = {
        "network.HEAD": HEADS,
        "network.CELL_RULE": RULES,
        "TRAIN.INPUT": INPUTS,
        "TRAIN.FILL": FILLS,
        "TRAIN.LOSS_NORM": LOSS_NORMS,
        "TRAIN.MASK_WINDOWS": MASK_WINDOWS,
        "TRAIN.optimizer": OPTIMIZERS,
        "TEST.AR_DEFINITION": DEFINITIONS,
        "dataset.dataset": READERS[DETECTION],
        "symbol": (VGG, *(name for name in RESNETS if name.startswith("resnet"))),
    }
    leaves = dict(base.flatten(config))
    for key, values in known.items():
        base.one_of(key, leaves[key], values)
    _check_numbers(leaves)
    if network.WINDOW % 2 == 0:
        raise ConfigError(f"network.WINDOW is {network.WINDOW}; a window has a middle cell: take an odd number")
    if network.GROUP > network.WINDOW:
        raise ConfigError(f"network.GROUP is {network.GROUP}, more than the {network.WINDOW} cells of network.WINDOW")
    if network.HEAD == DEEPMASK and train.INPUT != CROP:
        raise ConfigError(f"TRAIN.INPUT is {train.INPUT!r}; network.HEAD deepmask is fully connected and needs 'crop'")
    if config.symbol == VGG and network.GN_CHANNELS:
        raise ConfigError("network.GN_CHANNELS is for a ResNet; vgg16 has no normalisation: set it to 0")
    if not config.SCALES or min(config.SCALES) < 1:
        raise ConfigError(f"SCALES is {list(config.SCALES)}; short sides in pixels, from 1 on, are needed")
    if config.SCALE_FACTORS and min(config.SCALE_FACTORS) <= 0:
        raise ConfigError(f"SCALE_FACTORS is {list(config.SCALE_FACTORS)}; factors above 0 are needed, or none")
    if len(network.DEEPMASK) != 4:
        raise ConfigError(f"network.DEEPMASK is {list(network.DEEPMASK)}; it takes four numbers")
    if len(train.LOSS_WEIGHT) != 2:
        raise ConfigError(f"TRAIN.LOSS_WEIGHT is {list(train.LOSS_WEIGHT)}; it takes two, objectness and masks")
    if train.SCALE_TOLERANCE > train.NEGATIVE_SCALE or train.SHIFT > train.NEGATIVE_SHIFT:
        raise ConfigError(
            "TRAIN.SHIFT and SCALE_TOLERANCE must not exceed NEGATIVE_SHIFT and NEGATIVE_SCALE: a window would be both"
        )
    if not test.AR_COUNTS or min(test.AR_COUNTS) < 1:
        raise ConfigError(f"TEST.AR_COUNTS is {list(test.AR_COUNTS)}; numbers of proposals, from 1 on, are needed")
    _check_updates("TRAIN", train)
    _check_classifier(config.CLASSIFIER)


def _check_classifier(classifier: EasyDict) -> None:
    base.one_of("CLASSIFIER.STRIDE", classifier.STRIDE, (8, 16))
    base.one_of("CLASSIFIER.VOTING", classifier.VOTING, ("gpu", "cpu", ""))
    for key, count in (("SHARES", 3), ("LOSS_WEIGHT", 3), ("BBOX_STDS", 4)):
        if len(classifier[key]) != count:
            raise ConfigError(f"CLASSIFIER.{key} is {list(classifier[key])}; it takes {count} numbers")
    for key in ("PROPOSALS", "ROIS", "HIDDEN", "MASK_SIZE", "max_per_image", "BATCH_IMAGES", "IMS_PER_DEVICE"):
        if classifier[key] < 1:
            raise ConfigError(f"CLASSIFIER.{key} is {classifier[key]}; it must be at least 1")
    if not classifier.SCALES or min(classifier.SCALES) < 1:
        raise ConfigError(f"CLASSIFIER.SCALES is {list(classifier.SCALES)}; short sides in pixels are needed")
    _check_updates("CLASSIFIER", classifier)


def _check_numbers(leaves: dict) -> None:
    positive = (
        "default.frequent network.IMAGE_STRIDE network.GROUP network.HIDDEN TRAIN.max_iter TRAIN.snapshot "
        "TRAIN.BATCH_IMAGES TRAIN.IMS_PER_DEVICE TRAIN.WINDOWS TRAIN.CROP_SIDE TEST.PROPOSALS"
    )
    for key in positive.split():
        if leaves[key] < 1:
            raise ConfigError(f"{key} is {leaves[key]}; it must be at least 1")
    for key in ("TRAIN.POSITIVE_SHARE", "TRAIN.MASK_SHARE", "TEST.MASK_THRESH", "TEST.NMS"):
        if not 0 < leaves[key] <= 1:
            raise ConfigError(f"{key} is {leaves[key]}; it must be above 0 and at most 1")


def _check_updates(group: str, train: EasyDict) -> None:
    if train.BATCH_IMAGES % train.IMS_PER_DEVICE:
        raise ConfigError(
            f"{group}.BATCH_IMAGES is {train.BATCH_IMAGES}, no multiple of IMS_PER_DEVICE {train.IMS_PER_DEVICE}"
        )
    if train.max_iter % min(train.snapshot, train.max_iter):
        raise ConfigError(
            f"{group}.max_iter is {train.max_iter}, no multiple of {group}.snapshot {train.snapshot}: the last updates "
            "would leave no checkpoint"
        )
