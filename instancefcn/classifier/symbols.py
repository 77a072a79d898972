"""The classifier's network and its losses. Letters: N images, R proposals of an image, C classes with background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple, Union

import mxnet as mx

from fullconv.lib.network.backbone import FeatureMap
from fullconv.lib.network.resnet import ResNet
from fullconv.lib.network.resnet_spec import ResNetSpec
from fullconv.lib.network.vgg import VGG16, VGG16Spec

POOLED = 7
"""Side of what the fully connected layers see; masks are laid over twice as fine a map."""

MASK_SIDE = 2 * POOLED
LOSS_NAMES = ("cls_loss", "seg_cls_loss", "bbox_loss")
NEW_LAYERS = ("cls_score", "seg_cls_score", "bbox_pred")
DATA_NAMES = ("data", "rois", "masks")
LABEL_NAMES = ("labels", "seg_labels", "box_targets", "box_weights")
IGNORE = -1
"""Label of a row that is no proposal."""


@dataclass(frozen=True)
class ClassifierSpec:
    """body, feature: the backbone, and its map that proposals are pooled from. classes: C. hidden: width of the fully
    connected layers. weights: of the three losses."""

    body: Union[VGG16Spec, ResNetSpec]
    feature: str
    classes: int
    hidden: int = 4096
    weights: Tuple[float, float, float] = (1.0, 1.0, 1.0)


def scores(network: ClassifierSpec) -> Tuple[mx.sym.Symbol, mx.sym.Symbol, mx.sym.Symbol]:
    """(N R, C) classes of boxes, (N R, C) classes of segments, (N R, 4 C) box corrections, of `data` (N, 3, H, W),
    `rois` (N, R, 5) image, x1, y1, x2, y2 in input pixels, and `masks` (N, R, 14, 14) inside these boxes."""
    body = VGG16(network.body) if isinstance(network.body, VGG16Spec) else ResNet(network.body)
    feature: FeatureMap = body.features(mx.sym.Variable("data"))[network.feature]
    rois = mx.sym.Reshape(mx.sym.Variable("rois"), shape=(-3, 0))
    masks = mx.sym.Reshape(mx.sym.Variable("masks"), shape=(-1, 1, MASK_SIDE, MASK_SIDE))
    pool = {"spatial_scale": 1 / feature.stride}
    box = mx.sym.ROIPooling(feature.symbol, rois, pooled_size=(POOLED, POOLED), name="roi_pool", **pool)
    fine = mx.sym.ROIPooling(feature.symbol, rois, pooled_size=(MASK_SIDE, MASK_SIDE), name="roi_pool_mask", **pool)
    masked = mx.sym.broadcast_mul(fine, masks)
    masked = mx.sym.Pooling(masked, kernel=(2, 2), stride=(2, 2), pool_type="max", name="mask_pool")
    # The masked path first, as in MNC.
    both = mx.sym.concat(_path(masked, "_mask", network), _path(box, "", network), dim=1)
    outputs = zip(NEW_LAYERS, (network.classes, network.classes, 4 * network.classes))
    cls, seg, boxes = (mx.sym.FullyConnected(both, name=name, num_hidden=number) for name, number in outputs)
    return cls, seg, boxes


def _path(data: mx.sym.Symbol, suffix: str, network: ClassifierSpec) -> mx.sym.Symbol:
    for number in (6, 7):
        name = f"fc{number}{suffix}"
        data = mx.sym.FullyConnected(data, name=name, num_hidden=network.hidden)
        data = mx.sym.Activation(data, act_type="relu", name=f"{name}_relu")
    return data


def train_symbol(network: ClassifierSpec) -> mx.sym.Symbol:
    """Three losses (1,), each its own gradient, then logits of both kinds of classes, without.

    `labels`, `seg_labels` (N, R): class, or IGNORE. `box_targets`, `box_weights` (N, R, 4 C). Losses are means over the
    proposals that are there.
    """
    cls, seg, boxes = scores(network)
    labels = [mx.sym.Reshape(mx.sym.Variable(name), shape=(-1,)) for name in LABEL_NAMES[:2]]
    targets, weights = (mx.sym.Reshape(mx.sym.Variable(name), shape=(-3, 0)) for name in LABEL_NAMES[2:])
    count = mx.sym.broadcast_maximum(mx.sym.sum(labels[0] != IGNORE), mx.sym.ones((1,)))
    sums = [mx.sym.sum(_cross_entropy(*pair)) for pair in zip((cls, seg), labels)]
    sums.append(mx.sym.sum(mx.sym.smooth_l1((boxes - targets) * weights, scalar=1.0)))
    parts = [
        mx.sym.MakeLoss(mx.sym.Reshape(total, shape=(1,)) / mx.sym.BlockGrad(count), grad_scale=weight, name=name)
        for name, total, weight in zip(LOSS_NAMES, sums, network.weights)
    ]
    seen = [mx.sym.BlockGrad(symbol, name=name) for symbol, name in ((cls, "cls"), (seg, "seg_cls"))]
    return mx.sym.Group([*parts, *seen])


def _cross_entropy(logits: mx.sym.Symbol, labels: mx.sym.Symbol) -> mx.sym.Symbol:
    labels = mx.sym.BlockGrad(labels)
    # `pick` takes the first class for IGNORE; it is then multiplied by 0.
    return -mx.sym.pick(mx.sym.log_softmax(logits, axis=1), labels, axis=1) * (labels != IGNORE)


def test_symbol(network: ClassifierSpec) -> mx.sym.Symbol:
    """`seg_cls_prob` (R, C), by which MNC ranks, `cls_prob` (R, C) and `bbox_pred_out` (R, 4 C)."""
    cls, seg, boxes = scores(network)
    outputs = {"seg_cls_prob": mx.sym.softmax(seg, axis=1), "cls_prob": mx.sym.softmax(cls, axis=1)}
    return mx.sym.Group([mx.sym.identity(s, name=n) for n, s in {**outputs, "bbox_pred_out": boxes}.items()])


test_symbol.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test
