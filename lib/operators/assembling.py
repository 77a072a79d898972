"""Assembling of instance-sensitive score maps (InstanceFCN, ECCV 2016, section 3.1)."""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

from fullconv.lib.operators.library import Array, invoke

__all__ = ["assemble", "assemble_dense"]


def assemble(
    score_maps: Array,
    windows: Array,
    group_size: int,
    window_size: int = 21,
    rule: str = "centre",
    name: Optional[str] = None,
) -> Tuple[Array, Array]:
    """(masks, valid), each (R, window_size, window_size): the windows put together from the maps of their parts.

    score_maps (B, group_size**2, H, W), channel row * group_size + column of the part. windows (R, 3): image, cy, cx of
    the window's centre in map pixels, whole numbers; one whose image is not in [0, B), as -1, is padding: all zeros.

    Pixel (p, q) is copied from pixel (cy - window_size // 2 + p, cx - window_size // 2 + q) of the map of the part that
    it lies in, without interpolation. Beyond the map it is 0, and `valid` is 0 there instead of 1; those pixels and
    `valid` give no gradient, nor do windows get one. The gradients of windows that overlap add up.

    rule: where window_size is no multiple of group_size, "centre" gives a pixel to the part that its centre lies in,
    ((2p + 1) group_size) // (2 window_size), which is its own mirror image; "floor" to p group_size // window_size, as
    PSROIPooling does. The paper does not say. Raises MXNetError, naming operator and value, when attributes or shapes
    do not fit.
    """
    options: Dict[str, Any] = {"group_size": group_size, "window_size": window_size, "rule": rule}
    outputs = invoke("fullconv_assemble", score_maps, windows, name=name, **options)
    return outputs[0], outputs[1]


def assemble_dense(
    score_maps: Array, group_size: int, window_size: int = 21, rule: str = "centre", name: Optional[str] = None
) -> Tuple[Array, Array]:
    """`assemble` of all windows: (masks, valid), each (B * H * W, window_size, window_size), row by row of the map."""
    options: Dict[str, Any] = {"group_size": group_size, "window_size": window_size, "rule": rule}
    outputs = invoke("fullconv_assemble", score_maps, name=name, dense=True, **options)
    return outputs[0], outputs[1]
