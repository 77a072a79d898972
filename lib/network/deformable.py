"""Convolutions that look where a first convolution tells them to.

Dai et al., "Deformable Convolutional Networks" (ICCV 2017): version 1. Zhu et al., "Deformable ConvNets v2" (CVPR
2019): version 2, which also weighs what it sees at each place.
"""

from __future__ import annotations

from typing import Optional

import mxnet as mx

from fullconv.lib.operators.deformable_conv import deformable_conv

KERNEL = 3
TAPS = KERNEL * KERNEL
NUMBERS = {1: 2 * TAPS, 2: 3 * TAPS}
"""Channels by version of the map that says where to look: dy and dx of each tap; with version 2 the weights behind."""


def deformable_convolution(
    data: mx.sym.Symbol,
    name: str,
    offsets: str,
    version: int,
    channels: int,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    no_bias: bool = True,
) -> mx.sym.Symbol:
    """3x3 convolution (N, channels, h, w) of data (N, channels, H, W) at learned places; sizes are as of a padded one.

    name: of the convolution; offsets: of the one with bias, of the same stride and dilation, that finds the places.
    """
    around = {"stride": (stride, stride), "dilate": (dilation, dilation), "pad": (dilation, dilation)}
    places = mx.sym.Convolution(data, name=offsets, num_filter=NUMBERS[version], kernel=(KERNEL, KERNEL), **around)
    return convolve_at(data, places, name, version, channels, stride, dilation, groups, no_bias)


def convolve_at(
    data: mx.sym.Symbol,
    places: mx.sym.Symbol,
    name: str,
    version: int,
    channels: int,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    no_bias: bool = True,
    weight: Optional[mx.sym.Symbol] = None,
    bias: Optional[mx.sym.Symbol] = None,
) -> mx.sym.Symbol:
    """`deformable_convolution` whose places (N, NUMBERS[version], h, w) are known, the weights before their sigmoid.

    weight, bias: variables that several convolutions share; without, they are `<name>_weight` and `<name>_bias`.
    """
    shifts, weights = places, None
    if version == 2:
        # The split that fits one group of offsets, the only number for which the original's own split is right.
        shifts = mx.sym.slice_axis(places, axis=1, begin=0, end=2 * TAPS)
        # Not doubled, as the paper has it: weights start at one half.
        weights = mx.sym.sigmoid(mx.sym.slice_axis(places, axis=1, begin=2 * TAPS, end=None))
    # Not MXNet's operators: that of version 1 treats the borders otherwise than the networks whose weights we load,
    # that of version 2 has no gradient on processors.
    return deformable_conv(
        data,
        shifts,
        weights,
        num_filter=channels,
        kernel=(KERNEL, KERNEL),
        stride=(stride, stride),
        pad=(dilation, dilation),
        dilate=(dilation, dilation),
        num_group=groups,
        no_bias=no_bias,
        channels=channels,
        weight=weight,
        bias=bias,
        name=name,
    )
