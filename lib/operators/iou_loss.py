"""IoU losses on the distances from a location to the sides of its box: the regression losses of FCOS."""

from __future__ import annotations

from typing import Optional

from fullconv.lib.operators.library import Array, invoke

__all__ = ["iou_loss"]


def iou_loss(pred: Array, target: Array, weight: Array, loss_type: str = "iou", name: Optional[str] = None) -> Array:
    """(...) loss of every location times its weight, not summed; the gradient goes to `pred` only.

    pred, target (..., 4): distances l, t, r, b to the sides, in pixels or in units of the stride. weight (...): FCOS
    gives its centerness target, 0 for background. A row of weight 0 is not looked at, its loss and gradient are 0.

    loss_type "iou" is -log(IoU) (UnitBox, MM 2016), "linear_iou" 1 - IoU, "giou" 1 - GIoU (CVPR 2019). As in the
    original, IoU = (intersection + 1) / (union + 1) in whatever unit the distances have, and where a prediction equals
    its target the gradient is half of the two one-sided ones'. FCOS's loss is sum(this) / sum(weight); divide in the
    graph. Raises MXNetError, naming operator and value, for another loss_type or shapes that do not fit.
    """
    return invoke("fullconv_iou_loss", pred, target, weight, name=name, loss_type=loss_type)
