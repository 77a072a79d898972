"""Second-stage rois at test time: rois moved by the first pass's box regression (FCIS's "BoxParser").

Boxes are x1, y1, x2, y2 with inclusive pixel ends, in pixels of the network's input image.
"""

from __future__ import annotations

from typing import Optional, Sequence

from fullconv.lib.operators.library import Array, invoke

__all__ = ["box_parser"]


def box_parser(
    rois: Array,
    bbox_delta: Array,
    cls_prob: Array,
    im_info: Array,
    *,
    means: Sequence[float] = (0.0, 0.0, 0.0, 0.0),
    stds: Sequence[float] = (0.2, 0.2, 0.5, 0.5),
    class_agnostic: bool = True,
    name: Optional[str] = None,
) -> Array:
    """rois (R, 5) decoded with their deltas and clipped to their image; the batch index stays.

    rois (R, 5), bbox_delta (R, 4k), cls_prob (R, C), im_info (N, 3): height, width, scale. The delta is columns 4..7
    when `class_agnostic`, else those of the best class of 1 .. C-1 (first among equals), times `stds`, plus `means`.
    A roi with a batch index outside [0, N) or a NaN box gets 0, 0, 0, 0. No gradient flows to any input.
    Raises MXNetError naming the operator when attributes or shapes do not fit.
    """
    return invoke(
        "fullconv_box_parser",
        rois,
        bbox_delta,
        cls_prob,
        im_info,
        name=name,
        means=tuple(map(float, means)),
        stds=tuple(map(float, stds)),
        class_agnostic=class_agnostic,
    )
