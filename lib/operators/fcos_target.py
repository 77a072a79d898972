"""Targets of FCOS (Tian et al., ICCV 2019): what each location of the feature pyramid is to predict."""

from __future__ import annotations

from typing import Optional, Sequence, Tuple

import mxnet as mx

from fullconv.lib.operators.library import Array, invoke

__all__ = ["fcos_target"]


def fcos_target(
    gt_boxes: Array,
    levels: Sequence[Array],
    strides: Sequence[int] = (8, 16, 32, 64, 128),
    sizes_of_interest: Sequence[float] = (64, 128, 256, 512),
    center_sampling_radius: float = 0.0,
    norm_reg_targets: bool = False,
    name: Optional[str] = None,
) -> Tuple[Array, Array, Array]:
    """(labels (N, L), regression (N, L, 4), centerness (N, L)) of all L locations, without gradient.

    gt_boxes (N, G, 5): x1, y1, x2, y2 in pixels of the network's input, class from 1 on; a row whose class is not above
    0 is padding, and an image may have nothing else. levels: a tensor (N, *, H, W) per level, of which only the shape
    is used, so that one graph serves every image size; the smallest there is will do (the centerness maps).

    Locations are ordered by level, row and column, that of column j and row i at x = j stride + stride // 2, y alike.
    A location takes the smallest box (the first of equal ones) that has it inside and whose farthest side is as far
    away as its level allows: up to sizes_of_interest[0] on the first level, from sizes_of_interest[k-1] to
    sizes_of_interest[k] on level k, both ends included. With a center_sampling_radius only the part of the box within
    radius * stride of the centre counts as inside. regression: distances l, t, r, b to the sides, in pixels, or with
    norm_reg_targets in strides. Background has label 0 and zeros.

    Equal to the original, with its quirk that under center sampling an image whose first box is centred
    at x = 0 is all background; unlike there, an image without boxes is background instead of a crash. Raises
    MXNetError, naming operator and value, when attributes or shapes do not fit.
    """
    still = mx.sym.BlockGrad if isinstance(gt_boxes, mx.sym.Symbol) else mx.nd.BlockGrad
    outputs = invoke(
        "fullconv_fcos_target",
        gt_boxes,
        *map(still, levels),
        name=name,
        strides=tuple(map(int, strides)),
        sizes_of_interest=tuple(map(float, sizes_of_interest)) or None,  # MXNet's attributes know no empty list
        center_sampling_radius=center_sampling_radius,
        norm_reg_targets=norm_reg_targets,
    )
    return outputs[0], outputs[1], outputs[2]
