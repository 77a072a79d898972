"""VGG-16 made fully convolutional, and a classifier to learn its trunk with, as tables of layers.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (ICLR 2015); the
fully connected layers are convolutions and the first layer pads by 100 pixels, so that an image of any size, even
1x1, leaves something to score (Long, Shelhamer and Darrell, CVPR 2015).
"""

from __future__ import annotations

from typing import Callable, List, NamedTuple, Optional, Sequence

from fullconv.lib.network.caffe import layer as rows
from fullconv.lib.network.caffe.layer import WEIGHT_AND_BIAS, Layer


class Stage(NamedTuple):
    """`convolutions` of 3x3, and the pooling behind them, of which `pool` is the kernel; 0 leaves it out.

    A pooling of stride 1 keeps the size of its map and leaves the next stage to look as far as before: by dilation.
    """

    channels: int
    convolutions: int
    dilation: int = 1
    pool: int = 2
    pool_stride: int = 2


STAGES = (Stage(64, 2), Stage(128, 2), Stage(256, 3), Stage(512, 3), Stage(512, 3))
"""As published."""

STAGES_OF_STRIDE_8 = (*STAGES[:3], Stage(512, 3, pool=3, pool_stride=1), Stage(512, 3, dilation=2, pool=0))
"""The last map twice as fine in both directions (Dai et al., "Instance-sensitive Fully Convolutional Networks", ECCV
2016). The paper leaves the kernel of pool4 open: 3 keeps the map's size and centre, 2 would move it by half a pixel."""

PADS = (100, 0)
"""Padding of the first layer and of fc6."""

NORM_PADS = (1, 3)
"""The same with normalisation: every convolution keeps the size of its map. Those of a picture of 256x320 are a third
as large: what learns from nothing needs many pictures."""

NORM_LEAST = 17
"""Sides of the smallest image with them, which leaves the last pooling two pixels."""

Norm = Callable[[str, str, int], Layer]
"""norm(name, blob, channels): the row that normalises a blob."""


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
    # With PADS an image of one pixel leaves just the 7x7 that fc6 looks at.
    first_pad, fc6_pad = NORM_PADS if norm else PADS
    # As many groups as channels: each by itself.
    each, over_all = (rows.group_norm, _over_all) if norm else (None, None)
    layers = vgg16_convolutions(bottom, width, each, suffix, first, first_pad)
    for number, kernel, pad in ((6, 7, fc6_pad), (7, 1, 0)):
        names = f"fc{number}{suffix}", f"relu{number}{suffix}"
        layers += _unit(*names, layers[-1].top, hidden, kernel, pad, norm=over_all)
        if ratio:
            layers.append(rows.dropout(f"drop{number}{suffix}", layers[-1].top, ratio))
    return layers


def vgg16_classifier(bottom: str, width: float = 1.0) -> List[Layer]:
    """conv1_1 to pool5 from `bottom` (N, C, H, W), normalised over the batch, and pool6 (N, channels, 1, 1), the mean
    over all places: no fc6 and fc7, so that small images do.

    Arrays are called as in `vgg16_fcn` with `norm`, which can start from them.
    """
    layers = vgg16_convolutions(bottom, width, _over_batch)
    return [*layers, rows.mean_pooling("pool6", layers[-1].top)]


def _over_all(name: str, blob: str, channels: int) -> Layer:
    return rows.group_norm(name, blob, 1)


def _over_batch(name: str, blob: str, channels: int) -> Layer:
    return rows.batch_norm(name, blob)


def vgg16_convolutions(
    bottom: str,
    width: float = 1.0,
    norm: Optional[Norm] = None,
    suffix: str = "",
    first: str = "conv1_1",
    first_pad: int = 1,
    stages: Sequence[Stage] = STAGES,
) -> List[Layer]:
    """conv1_1 to the last stage's pooling from `bottom` (N, C, H, W); arguments as of `vgg16_fcn`."""
    layers: List[Layer] = []
    for number, stage in enumerate(stages, 1):
        for index in range(1, stage.convolutions + 1):
            place, pad = f"{number}_{index}", stage.dilation
            name = f"conv{place}"
            if place == "1_1":
                # Of another name where its weights have another shape, as for colour and depth: files are matched by
                # name.
                name, pad = first, first_pad
            below = layers[-1].top if layers else bottom
            channels = scaled(stage.channels, width)
            layers += _unit(name + suffix, f"relu{place}{suffix}", below, channels, 3, pad, stage.dilation, norm)
        if stage.pool:
            # Stride 1 pads so that the map keeps its size; at stride 2, Caffe's ceiling needs no padding.
            pad = stage.pool // 2 if stage.pool_stride == 1 else 0
            pool = rows.max_pooling(f"pool{number}{suffix}", layers[-1].top, stage.pool, stage.pool_stride, pad)
            layers.append(pool)
    return layers


def _unit(
    name: str,
    relu: str,
    below: str,
    channels: int,
    kernel: int,
    pad: int,
    dilation: int = 1,
    norm: Optional[Norm] = None,
) -> List[Layer]:
    """A convolution, its normalisation if any, and its ReLU."""
    layers = [rows.convolution(name, below, channels, kernel, pad=pad, dilation=dilation, mults=WEIGHT_AND_BIAS)]
    if norm:
        layers.append(norm(f"{name}_norm", name, channels))
    return [*layers, rows.relu(relu, name)]


def scaled(channels: int, width: float, multiple: int = 1) -> int:
    """Channels at a width multiplier, at least one and a multiple of `multiple`."""
    return max(1, round(channels * width / multiple)) * multiple
