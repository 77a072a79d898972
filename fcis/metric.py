"""The eight training metrics of FCIS, by the original's names and definitions."""

from __future__ import annotations

from typing import Dict

from fullconv.lib.core.metric import MetricSet, Outputs, Sums, masked_accuracy, masked_log_loss

OUTPUT_NAMES = (
    "rpn_cls_prob",
    "rpn_bbox_loss",
    "cls_prob",
    "bbox_loss",
    "seg_prob",
    "mask_label",
    "rcnn_label",
)
"""Names given here to the training symbol's outputs, in order."""

GLOSSARY: Dict[str, str] = {
    "RPNAcc": "share of sampled anchors whose object/background decision is right",
    "RPNLogLoss": "cross entropy of that decision",
    "RPNL1Loss": "anchor box loss divided by the sampled anchors",
    "FCISAcc": "share of rois classified right, background included",
    "FCISAccFG": "the same over object rois only; near 0 at first, because background wins",
    "FCISLogLoss": "cross entropy of the roi's class",
    "FCISL1Loss": "roi box loss divided by the counted rois",
    "FCISMaskLoss": "cross entropy per mask pixel of object rois, before hard-example mining",
}


def _rpn(arrays: Outputs):
    prob, label = arrays["rpn_cls_prob"], arrays["proposal_label"].reshape((arrays["rpn_cls_prob"].shape[0], -1))
    # Anchors of a whole map in one axis, as their labels come.
    return prob.reshape((0, 2, -1)), label, label != -1


def _rcnn(arrays: Outputs):
    label = arrays["rcnn_label"].reshape((-1,))
    # -3 joins images and rois, in MXNet's codes.
    return arrays["cls_prob"].reshape((-3, 0)), label


def rpn_acc(arrays: Outputs) -> Sums:
    """RPN accuracy over anchors with a label."""
    return masked_accuracy(*_rpn(arrays))


def rpn_log_loss(arrays: Outputs) -> Sums:
    """RPN cross entropy over anchors with a label."""
    return masked_log_loss(*_rpn(arrays))


def rpn_l1_loss(arrays: Outputs) -> Sums:
    """RPN box loss per anchor with a label."""
    return arrays["rpn_bbox_loss"].sum(), (arrays["proposal_label"] != -1).sum()


def fcis_acc(arrays: Outputs) -> Sums:
    """Roi accuracy over rois with a label."""
    prob, label = _rcnn(arrays)
    return masked_accuracy(prob, label, label != -1)


def fcis_acc_fg(arrays: Outputs) -> Sums:
    """Roi accuracy over object rois."""
    prob, label = _rcnn(arrays)
    return masked_accuracy(prob, label, label > 0)


def fcis_log_loss(arrays: Outputs) -> Sums:
    """Roi cross entropy over rois with a label."""
    prob, label = _rcnn(arrays)
    return masked_log_loss(prob, label, label != -1)


def fcis_l1_loss(arrays: Outputs) -> Sums:
    """Roi box loss per roi with a label."""
    return arrays["bbox_loss"].sum(), (arrays["rcnn_label"] != -1).sum()


def fcis_mask_loss(arrays: Outputs) -> Sums:
    """Mask cross entropy per pixel with a target; the targets are those before hard-example mining."""
    # The maps of two scores as (rois, 2, pixels), their targets as (rois, pixels).
    label = arrays["mask_label"].reshape((0, -1))
    return masked_log_loss(arrays["seg_prob"].reshape((0, 0, -1)), label, label != -1)


def fcis_metrics() -> MetricSet:
    """The eight metrics in the original's order."""
    return MetricSet(
        {
            "RPNAcc": rpn_acc,
            "RPNLogLoss": rpn_log_loss,
            "RPNL1Loss": rpn_l1_loss,
            "FCISAcc": fcis_acc,
            "FCISAccFG": fcis_acc_fg,
            "FCISLogLoss": fcis_log_loss,
            "FCISL1Loss": fcis_l1_loss,
            "FCISMaskLoss": fcis_mask_loss,
        }
    )
