"""VGG-16 made fully convolutional, and a classifier to learn its trunk with, as tables of layers.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (ICLR 2015); the
fully connected layers are convolutions and the first layer pads by 100 pixels, so that an image of any size, even
1x1, leaves something to score (Long, Shelhamer and Darrell, CVPR 2015).
"""

from __future__ import annotations

from typing import Callable, List, Optional

from fullconv.lib.network.caffe import layer as rows
from fullconv.lib.network.caffe.layer import WEIGHT_AND_BIAS, Layer

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of 3x3 convolutions before each pooling."""

PADS = (100, 0)
"""Padding of the first layer and of fc6."""

NORM_PADS = (1, 3)
"""The same with normalisation: every convolution keeps the size of its map. Those of a picture of 256x320 are a third
as large: what learns from nothing needs many pictures."""

NORM_LEAST = 17
"""Sides of the smallest image with them, which leaves the last pooling two pixels."""


def vgg16_fcn(
    bottom: str,
    width: float = 1.0,
    hidden: int = 4096,
    ratio: float = 0.5,
    suffix: str = "",
    first: str = "conv1_1",
    norm: bool = False,
) -> List[Layer]:
    """The trunk from `bottom` (N, C, H, W) to fc7 (N, hidden, h, w), h = ceil five times of (H + 198)/2, minus 6; with
    `norm` five times of H/2.

    width: multiplier of the channels of conv1_1 to conv5_3. ratio: dropout after fc6 and fc7; 0 leaves it out.
    suffix: appended to all names. first: name of the first convolution. Maps of use above: pool3, pool4 and fc7.
    norm: normalise in front of every ReLU, as the published trunk does not: each channel of conv1_1 to conv5_3 by
    itself, fc6 and fc7 over all of theirs, because on maps of a few pixels a channel alone says where, not what. It
    pads less, see NORM_PADS.
    """
    first_pad, fc6_pad = NORM_PADS if norm else PADS
    # As many groups as channels: each by itself.
    each, over_all = (rows.group_norm, _over_all) if norm else (None, None)
    layers = _convolutions(bottom, width, each, suffix, first, first_pad)
    for number, kernel, pad in ((6, 7, fc6_pad), (7, 1, 0)):
        names = f"fc{number}{suffix}", f"relu{number}{suffix}"
        layers += _unit(*names, layers[-1].top, hidden, kernel, pad, over_all)
        if ratio:
            layers.append(rows.dropout(f"drop{number}{suffix}", layers[-1].top, ratio))
    return layers


def vgg16_classifier(bottom: str, width: float = 1.0) -> List[Layer]:
    """conv1_1 to pool5 from `bottom` (N, C, H, W), normalised over the batch, and pool6 (N, channels, 1, 1), the mean
    over all places: no fc6 and fc7, so that small images do.

    Arrays are called as in `vgg16_fcn` with `norm`, which can start from them.
    """
    layers = _convolutions(bottom, width, _over_batch)
    return [*layers, rows.mean_pooling("pool6", layers[-1].top)]


Norm = Callable[[str, str, int], Layer]
"""norm(name, blob, channels): the row that normalises a blob."""


def _over_all(name: str, blob: str, channels: int) -> Layer:
    return rows.group_norm(name, blob, 1)


def _over_batch(name: str, blob: str, channels: int) -> Layer:
    return rows.batch_norm(name, blob)


def _convolutions(
    bottom: str, width: float, norm: Optional[Norm], suffix: str = "", first: str = "conv1_1", first_pad: int = 1
) -> List[Layer]:
    """conv1_1 to pool5."""
    layers: List[Layer] = []
    for stage, (channels, count) in enumerate(STAGES, 1):
        for index in range(1, count + 1):
            place = f"{stage}_{index}"
            name, pad = (first, first_pad) if place == "1_1" else (f"conv{place}", 1)
            below = layers[-1].top if layers else bottom
            layers += _unit(name + suffix, f"relu{place}{suffix}", below, scaled(channels, width), 3, pad, norm)
        layers.append(rows.max_pooling(f"pool{stage}{suffix}", layers[-1].top, kernel=2, stride=2))
    return layers


def _unit(name: str, relu: str, below: str, channels: int, kernel: int, pad: int, norm: Optional[Norm]) -> List[Layer]:
    """A convolution, its normalisation if any, and its ReLU."""
    layers = [rows.convolution(name, below, channels, kernel, pad=pad, mults=WEIGHT_AND_BIAS)]
    if norm:
        layers.append(norm(f"{name}_norm", name, channels))
    return [*layers, rows.relu(relu, name)]


def scaled(channels: int, width: float, multiple: int = 1) -> int:
    """Channels at a width multiplier, at least one and a multiple of `multiple`."""
    return max(1, round(channels * width / multiple)) * multiple
