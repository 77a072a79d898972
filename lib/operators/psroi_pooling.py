"""Position-sensitive roi pooling (R-FCN, NIPS 2016, section 3.2), as FCIS and R-FCN use it."""

from __future__ import annotations

from typing import Optional

from fullconv.lib.operators.library import Array, invoke

__all__ = ["psroi_pooling"]


def psroi_pooling(
    data: Array,
    rois: Array,
    spatial_scale: float,
    output_dim: int,
    pooled_size: int,
    group_size: int = 0,
    name: Optional[str] = None,
) -> Array:
    """(R, output_dim, pooled_size, pooled_size) means of position-sensitive score maps; no gradient to rois.

    data (N, output_dim * group_size**2, H, W), channel (c * group_size + row) * group_size + column.
    rois (R, 5): image index, then x1, y1, x2, y2 in input image pixels (map pixels / spatial_scale), ends inclusive.
    group_size 0 means pooled_size. A roi outside the map gives zeros, as does one with a NaN, an infinite number or an
    image index outside [0, N); an inverted one counts as a tenth of a map pixel. Equal, bit for bit, to
    `mx.nd.contrib.PSROIPooling` on the CPU, forward and backward.
    """
    return invoke(
        "fullconv_psroi_pooling",
        data,
        rois,
        name=name,
        spatial_scale=spatial_scale,
        output_dim=output_dim,
        pooled_size=pooled_size,
        group_size=group_size,
    )
