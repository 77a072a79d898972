"""The FCIS head at test time as one operator (FCIS, CVPR 2017, sections 3.1 and 3.3)."""

from __future__ import annotations

from typing import Any, Optional, Tuple

import mxnet as mx

from fullconv.lib.operators.channel_operator import group_max, group_pick, group_softmax
from fullconv.lib.operators.library import Array, invoke
from fullconv.lib.operators.psroi_pooling import psroi_pooling

__all__ = ["fcis_head", "fcis_head_composed"]


def fcis_head(
    cls_seg: Array,
    bbox: Array,
    rois: Array,
    num_classes: int,
    spatial_scale: float = 0.0625,
    group_size: int = 7,
    pooled_size: int = 21,
    num_reg: int = 8,
    name: Optional[str] = None,
) -> Array:
    """Three outputs: cls_prob (R, C), bbox_pred (R, num_reg) and seg_pred (R, 2, P, P) for P = pooled_size.

    cls_seg (N, 2 * C * group_size**2, H, W), bbox (N, num_reg * group_size**2, H, W) and rois (R, 5) are as for
    psroi_pooling. seg_pred is (outside, inside) of the roi's best foreground class. Equal to `fcis_head_composed`, but
    without its (R, 2 * C, P, P) tensor in memory. Inference only: its backward pass raises MXNetError.
    """
    return invoke(
        "fullconv_fcis_head",
        cls_seg,
        bbox,
        rois,
        name=name,
        num_classes=num_classes,
        spatial_scale=spatial_scale,
        group_size=group_size,
        pooled_size=pooled_size,
        num_reg=num_reg,
    )


def fcis_head_composed(
    cls_seg: Array,
    bbox: Array,
    rois: Array,
    num_classes: int,
    spatial_scale: float = 0.0625,
    group_size: int = 7,
    pooled_size: int = 21,
    num_reg: int = 8,
) -> Tuple[Array, Array, Array]:
    """The same three outputs from the single operators, as the original's test graph puts them together."""
    f = mx.sym if isinstance(rois, mx.sym.Symbol) else mx.nd
    pooled = psroi_pooling(cls_seg, rois, spatial_scale, 2 * num_classes, pooled_size, group_size)
    cls_prob = f.SoftmaxActivation(_average(f, group_max(pooled, num_classes), num_classes))
    best = f.Reshape(cls_prob, shape=(-1, num_classes, 1, 1))
    seg_pred = group_pick(group_softmax(pooled, num_classes), best, num_classes, pick_type="Score_Pick")
    bbox_pred = _average(f, psroi_pooling(bbox, rois, spatial_scale, num_reg, pooled_size, group_size), num_reg)
    return cls_prob, bbox_pred, seg_pred


def _average(f: Any, data: Array, channels: int) -> Array:
    """Mean over the roi: (R, channels, P, P) -> (R, channels)."""
    # A mean over axes, as in training: the same numbers as global average pooling, and quicker.
    return f.Reshape(f.mean(data, axis=(2, 3)), shape=(-1, channels))
