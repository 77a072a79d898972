"""The losses of FCOS (Tian et al., ICCV 2019, sections 3.1 and 3.3).

Dimension letters: N images, G objects, C classes without the background, L locations of all levels.
"""

from __future__ import annotations

from typing import Sequence

import mxnet as mx

from fullconv.fcos.symbols.head import LevelOutputs
from fullconv.fcos.symbols.spec import LossSpec
from fullconv.lib.operators.fcos_target import fcos_target
from fullconv.lib.operators.iou_loss import iou_loss
from fullconv.lib.operators.sigmoid_focal_loss import sigmoid_focal_loss

LOSS_NAMES = ("loss_cls", "loss_reg", "loss_centerness")


def losses(
    levels: Sequence[LevelOutputs],
    gt_boxes: mx.sym.Symbol,
    normalizers: mx.sym.Symbol,
    spec: LossSpec,
    normalised: bool,
) -> mx.sym.Symbol:
    """Three outputs (1,), each its own gradient: LOSS_NAMES.

    gt_boxes (N, G, 5): x1, y1, x2, y2, class; class below 1 is padding. normalizers (2,): what the losses are divided
    by, number of positive locations and sum of their centerness targets. They are those of the whole update, of all
    its devices and batches, so that gradients only have to be summed: the original exchanges both between its
    processes, which a graph cannot do. `fcos.loader` counts them.

    With quality "iou" the third output learns the overlap of the predicted box instead of the centerness, and the loss
    of boxes is their plain mean (AdelaiDet's BOX_QUALITY).
    """
    labels, distances, centerness = fcos_target(
        gt_boxes,
        [level.centerness for level in levels],
        spec.strides,
        spec.sizes,
        spec.radius,
        normalised,
        name="target",
    )
    count = mx.sym.slice_axis(normalizers, axis=0, begin=0, end=1)
    total = mx.sym.slice_axis(normalizers, axis=0, begin=1, end=2)
    classes = sigmoid_focal_loss(_joined([level.logits for level in levels]), labels, spec.alpha, spec.gamma)
    predicted = mx.sym.transpose(_joined([level.boxes for level in levels]), axes=(0, 2, 1))
    positive = mx.sym.BlockGrad(labels > 0)
    if spec.quality == "iou":
        # A box that is far off counts as much as any other where no centerness says which to trust.
        weights, total = positive, count
        quality = _iou(predicted, distances, positive)
    else:
        weights = quality = centerness
    boxes = iou_loss(predicted, distances, weights, spec.iou)
    logits = mx.sym.Reshape(_joined([level.centerness for level in levels]), shape=(0, -1))
    central = _cross_entropy(logits, quality) * positive
    sums = [mx.sym.sum(classes) / count, mx.sym.sum(boxes) / total, mx.sym.sum(central) / count]
    return mx.sym.Group([mx.sym.MakeLoss(loss, name=name) for name, loss in zip(LOSS_NAMES, sums)])


def _iou(predicted: mx.sym.Symbol, target: mx.sym.Symbol, positive: mx.sym.Symbol) -> mx.sym.Symbol:
    """(N, L) overlap of boxes (N, L, 4) with their targets, as the box loss has it, without gradient; 0 elsewhere."""
    return positive - iou_loss(mx.sym.BlockGrad(predicted), target, positive, "linear_iou")


def _joined(maps: Sequence[mx.sym.Symbol]) -> mx.sym.Symbol:
    """(N, C, L) of one (N, C, h, w) per level."""
    return mx.sym.concat(*(mx.sym.Reshape(level, shape=(0, 0, -1)) for level in maps), dim=2)


def _cross_entropy(logits: mx.sym.Symbol, targets: mx.sym.Symbol) -> mx.sym.Symbol:
    """Of sigmoid(logits) with targets between 0 and 1, in the form that does not overflow."""
    softplus = mx.sym.Activation(-mx.sym.abs(logits), act_type="softrelu")
    return mx.sym.relu(logits) - logits * mx.sym.BlockGrad(targets) + softplus
