"""Deformable convolution (ICCV 2017) and its modulated form (CVPR 2019)."""

from __future__ import annotations

from typing import List, Optional, Tuple

import mxnet as mx

from fullconv.lib.operators.library import Array, invoke

__all__ = ["deformable_conv"]


def deformable_conv(
    data: Array,
    offset: Array,
    mask: Optional[Array] = None,
    *,
    num_filter: int,
    kernel: Tuple[int, int] = (3, 3),
    stride: Tuple[int, int] = (1, 1),
    pad: Tuple[int, int] = (0, 0),
    dilate: Tuple[int, int] = (1, 1),
    num_group: int = 1,
    num_deformable_group: int = 1,
    no_bias: bool = False,
    channels: Optional[int] = None,
    weight: Optional[Array] = None,
    bias: Optional[Array] = None,
    name: Optional[str] = None,
) -> Array:
    """(N, F, H', W') convolution of which each tap looks elsewhere by its offset; H', W' as of a convolution.

    data (N, C, H, W). offset (N, 2 D T, H', W') for D deformable groups of channels and T = kernel height * width taps
    in row-major order: channels 2 (d T + t) and the next are dy and dx in pixels of data. mask (N, D T, H', W')
    multiplies what a tap finds (after any sigmoid); without it all count in full. weight (F, C / num_group, *kernel),
    bias (F,): on symbols they may be left out and become the variables `<name>_weight` and `<name>_bias`, shaped by
    `channels` (C), as MXNet 1.9.1 cannot hand an extension an unknown shape to fill in. All inputs have gradients.

    Samples are bilinear with zeros around the image: one counts if -1 < y < H and -1 < x < W, and an offset of NaN
    leads outside. MXNet 1.9.1 has DeformableConvolution, which treats the borders otherwise, and
    ModulatedDeformableConvolution, which has the same output but no gradient on the CPU.

    Raises ValueError for a missing parameter, MXNetError, naming operator and value, when attributes or shapes do not
    fit.
    """
    parameters = _parameters(data, num_filter, kernel, num_group, no_bias, channels, weight, bias, name)
    inputs = [data, offset, *([] if mask is None else [mask]), *parameters]
    return invoke(
        "fullconv_deformable_conv",
        *inputs,
        name=name,
        num_filter=num_filter,
        kernel=tuple(kernel),
        stride=tuple(stride),
        pad=tuple(pad),
        dilate=tuple(dilate),
        num_group=num_group,
        num_deformable_group=num_deformable_group,
        no_bias=no_bias,
        modulated=mask is not None,
    )


def _parameters(
    data: Array,
    num_filter: int,
    kernel: Tuple[int, int],
    num_group: int,
    no_bias: bool,
    channels: Optional[int],
    weight: Optional[Array],
    bias: Optional[Array],
    name: Optional[str],
) -> List[Array]:
    """Weight and bias, those that are missing as variables."""
    if weight is None or (bias is None and not no_bias):
        if not isinstance(data, mx.sym.Symbol) or name is None or channels is None:
            raise ValueError(
                f"deformable_conv (name={name!r}, channels={channels!r}): give weight and bias, or on a symbol name "
                "and channels, from which they are made"
            )
        # A group's filters see the channels of their group only.
        shape = (num_filter, channels // num_group, *kernel)
        weight = mx.sym.Variable(f"{name}_weight", shape=shape) if weight is None else weight
        bias = mx.sym.Variable(f"{name}_bias", shape=(num_filter,)) if bias is None else bias
    return [weight] if no_bias else [weight, bias]
