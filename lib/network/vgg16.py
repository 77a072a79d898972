"""VGG-16 made fully convolutional, as a table of layers.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (ICLR 2015); the
fully connected layers are convolutions and the first layer pads by 100 pixels, so that an image of any size, even
1x1, leaves something to score (Long, Shelhamer and Darrell, CVPR 2015).
"""

from __future__ import annotations

from typing import List

from lib.network.layer import WEIGHT_AND_BIAS, Layer, convolution, dropout, group_norm, max_pooling, relu

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of 3x3 convolutions before each pooling."""

PADS = (100, 0)
"""Padding of the first layer and of fc6."""

NORM_PADS = (33, 2)
"""The same with normalisation. From a 1x1 image there is still something to score, and the maps of a picture of 256x320
are half as large: what learns from nothing needs many pictures."""


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
    `norm` five times of (H + 64)/2, minus 2.

    width: multiplier of the channels of conv1_1 to conv5_3. ratio: dropout after fc6 and fc7; 0 leaves it out.
    suffix: appended to all names. first: name of the first convolution. Maps of use above: pool3, pool4 and fc7.
    norm: normalise in front of every ReLU, as the published trunk does not: each channel of conv1_1 to conv5_3 by
    itself, fc6 and fc7 over all of theirs, because on maps of a few pixels a channel alone says where, not what. It
    pads less, see NORM_PADS.
    """
    layers: List[Layer] = []
    first_pad, fc6_pad = NORM_PADS if norm else PADS

    def unit(name: str, relu_name: str, channels: int, kernel: int, pad: int) -> None:
        below = layers[-1].top if layers else bottom
        layers.append(convolution(name + suffix, below, channels, kernel, pad=pad, mults=WEIGHT_AND_BIAS))
        if norm:
            layers.append(group_norm(f"{name}{suffix}_norm", name + suffix, channels if kernel == 3 else 1))
        layers.append(relu(relu_name + suffix, name + suffix))

    for stage, (channels, count) in enumerate(STAGES, 1):
        for index in range(1, count + 1):
            place = f"{stage}_{index}"
            is_first = place == "1_1"
            name, pad = (first, first_pad) if is_first else (f"conv{place}", 1)
            unit(name, f"relu{place}", scaled(channels, width), 3, pad)
        layers.append(max_pooling(f"pool{stage}{suffix}", layers[-1].top, kernel=2, stride=2))
    for number, kernel, pad in ((6, 7, fc6_pad), (7, 1, 0)):
        unit(f"fc{number}", f"relu{number}", hidden, kernel, pad)
        if ratio:
            layers.append(dropout(f"drop{number}{suffix}", layers[-1].top, ratio))
    return layers


def scaled(channels: int, width: float, multiple: int = 1) -> int:
    """Channels at a width multiplier, at least one and a multiple of `multiple`."""
    return max(1, round(channels * width / multiple)) * multiple
