"""Targets of FCOS (Tian et al., ICCV 2019): what each location of the feature pyramid is to predict."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Callable, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from fullconv.lib.operators.library import Array, invoke
from fullconv.operator_cxx import c_library

__all__ = ["fcos_target", "fcos_target_arrays"]

FARTHEST = 1e8
"""The original's infinity: how far away sides may be on the last level."""


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


@lru_cache(maxsize=None)
def _entry() -> Callable[..., int]:
    entry = c_library().fullconv_fcos_target_fwd_cpu
    entry.argtypes = [*[ctypes.c_void_p] * 5, *[ctypes.c_int] * 4, ctypes.c_void_p]
    return entry


def fcos_target_arrays(
    gt_boxes: np.ndarray,
    sizes: Sequence[Tuple[int, int]],
    strides: Sequence[int] = (8, 16, 32, 64, 128),
    sizes_of_interest: Sequence[float] = (64, 128, 256, 512),
    center_sampling_radius: float = 0.0,
    norm_reg_targets: bool = False,
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`fcos_target` of numpy arrays by the same code, without MXNet, so that threads may call it.

    gt_boxes (N, G, 5). sizes: (height, width) of each level. Raises ValueError: lists of lengths that do not fit.
    """
    if not len(sizes) == len(strides) == len(sizes_of_interest) + 1:
        raise ValueError(
            f"{len(sizes)} levels of {len(strides)} strides and {len(sizes_of_interest)} sizes of interest: as many "
            "levels as strides are needed, and a size between each two"
        )
    gt_boxes = np.ascontiguousarray(gt_boxes, np.float32)
    lengths = [-1.0, *sizes_of_interest, FARTHEST]
    rows = [
        (*size, stride, lengths[i], lengths[i + 1], stride * center_sampling_radius)
        for i, (size, stride) in enumerate(zip(sizes, strides))
    ]
    levels = np.array(rows, np.float32)
    images, objects, _ = gt_boxes.shape
    count = sum(height * width for height, width in sizes)
    labels, regression, centerness = (np.empty((images, count, *tail), np.float32) for tail in ((), (4,), ()))
    pointers = [array.ctypes.data for array in (gt_boxes, levels, labels, regression, centerness)]
    error = _entry()(*pointers, images, objects, len(rows), int(norm_reg_targets), None)
    if error:
        raise RuntimeError(f"fcos_target failed with error {error}")
    return labels, regression, centerness
