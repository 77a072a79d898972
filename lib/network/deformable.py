"""Convolutions that look where a first convolution tells them to.

Dai et al., "Deformable Convolutional Networks" (ICCV 2017): version 1. Zhu et al., "Deformable ConvNets v2" (CVPR
2019): version 2, which also weighs what it sees at each place.
"""

from __future__ import annotations

import mxnet as mx

KERNEL = 3
TAPS = KERNEL * KERNEL


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
    """3x3 convolution (N, channels, h, w) of data (N, C, H, W) at learned places; sizes are as of a padded one.

    name: of the convolution; offsets: of the one with bias, of the same stride and dilation, that finds the places.
    Its channels: for each tap, row by row, dy and dx; with version 2 the nine weights behind, before their sigmoid.

    The operators are MXNet's own. That of version 2 computes on GPUs only. That of version 1 finds 0 above and to the
    left of the map and the last row or column up to a pixel behind it, where the originals fade to 0 over the pixel
    around the map on all sides: trained weights do not carry over.
    """
    size = {"kernel": (KERNEL, KERNEL), "stride": (stride, stride), "dilate": (dilation, dilation)}
    size["pad"] = (dilation, dilation)
    numbers = 3 * TAPS if version == 2 else 2 * TAPS
    places = mx.sym.Convolution(data, name=offsets, num_filter=numbers, **size)
    options = {"num_filter": channels, "num_group": groups, "no_bias": no_bias, "name": name, **size}
    if version == 1:
        return mx.sym.contrib.DeformableConvolution(data, places, **options)
    # The split that fits one group of offsets, the only number for which the original's own split is right.
    shifts = mx.sym.slice_axis(places, axis=1, begin=0, end=2 * TAPS)
    # Not doubled, as the paper has it: weights start at one half.
    weights = mx.sym.sigmoid(mx.sym.slice_axis(places, axis=1, begin=2 * TAPS, end=None))
    return mx.sym.contrib.ModulatedDeformableConvolution(data, shifts, weights, **options)
