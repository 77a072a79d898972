"""What the convolutions of FCIS compute, before anything is proposed or pooled (Li et al., CVPR 2017, section 3)."""

from __future__ import annotations

from typing import NamedTuple, Tuple

import mxnet as mx

from fullconv.fcis.symbols.spec import GROUP, NetworkSpec
from fullconv.lib.network.backbone import FeatureMap
from fullconv.lib.network.norm import normalize
from fullconv.lib.network.resnet import ResNet

NEW_LAYERS = ("rpn_conv_3x3", "rpn_cls_score", "rpn_bbox_pred", "conv_new_1", "fcis_cls_seg", "fcis_bbox")
"""Layers without pretrained weights: normal(0, 0.01) weights, zero biases."""


class Maps(NamedTuple):
    """Four maps of one stride: pixels of the input by which neighbouring places are apart."""

    rpn_cls_score: mx.sym.Symbol  # (N, 2A, h, w), background scores of all anchors first
    rpn_bbox_pred: mx.sym.Symbol  # (N, 4A, h, w)
    cls_seg: mx.sym.Symbol  # (N, 2C*7*7, h, w), channel ((class*2 + inside)*7 + gy)*7 + gx
    bbox: mx.sym.Symbol  # (N, 4*regressed classes*7*7, h, w)


def network_maps(spec: NetworkSpec) -> Tuple[Maps, int]:
    """The maps of images `data` (N, 3, H, W) and their stride: RPN on res4, score maps on res5."""
    features = ResNet(spec.backbone).features(mx.sym.Variable("data"))
    res4, res5 = features["res4"], features["res5"]
    if res4.stride != res5.stride:
        raise ValueError(
            f"FCIS on maps of strides {res4.stride} (res4) and {res5.stride} (res5): rois of one are pooled from the "
            "other, so give the backbone strides that make them equal (see LAYOUTS)"
        )
    return Maps(*_rpn(res4, spec), *_score_maps(res5, spec)), res5.stride


def _rpn(feature: FeatureMap, spec: NetworkSpec) -> Tuple[mx.sym.Symbol, mx.sym.Symbol]:
    """Region proposal head; its width follows the backbone's (512 on the published 1024)."""
    channels = feature.channels // 2
    hidden = mx.sym.Convolution(feature.symbol, name="rpn_conv_3x3", kernel=(3, 3), pad=(1, 1), num_filter=channels)
    hidden = _hidden(hidden, spec, channels, "bn_rpn", "rpn_relu")
    score = mx.sym.Convolution(hidden, name="rpn_cls_score", kernel=(1, 1), num_filter=2 * spec.num_anchors)
    delta = mx.sym.Convolution(hidden, name="rpn_bbox_pred", kernel=(1, 1), num_filter=4 * spec.num_anchors)
    return score, delta


def _score_maps(feature: FeatureMap, spec: NetworkSpec) -> Tuple[mx.sym.Symbol, mx.sym.Symbol]:
    """Inside/outside score maps of all classes and the box maps; 1024 hidden channels on the published 2048."""
    # MXNet hands an operator's attribute on to its variables, so the bias is as fast as the weight.
    attributes = {"lr_mult": "3.00"} if spec.fast_hidden else None
    channels, cells = feature.channels // 2, GROUP * GROUP
    hidden = mx.sym.Convolution(feature.symbol, name="conv_new_1", kernel=(1, 1), num_filter=channels, attr=attributes)
    hidden = _hidden(hidden, spec, channels, "bn_new_1", "relu_new_1")
    cls_seg = mx.sym.Convolution(hidden, name="fcis_cls_seg", kernel=(1, 1), num_filter=2 * spec.num_classes * cells)
    bbox = mx.sym.Convolution(hidden, name="fcis_bbox", kernel=(1, 1), num_filter=4 * spec.num_reg_classes * cells)
    return cls_seg, bbox


def _hidden(data: mx.sym.Symbol, spec: NetworkSpec, channels: int, norm: str, relu: str) -> mx.sym.Symbol:
    """ReLU of a head's hidden layer; normalised first where the backbone trains its normalisation too.

    Without pretrained features to start from, an unnormalised head learns the classes many times slower.
    """
    if spec.backbone.norm.trained:
        return normalize(data, spec.backbone.norm, norm, channels, relu)
    return mx.sym.Activation(data, act_type="relu", name=relu)


def feature_shape(symbol: mx.sym.Symbol, height: int, width: int) -> Tuple[int, int]:
    """(h, w) of the RPN's map for an input of height x width."""
    # Inferring up to this layer needs no labels, whose shapes follow from the answer.
    scores = symbol.get_internals()["rpn_cls_score_output"]
    _, shapes, _ = scores.infer_shape(data=(1, 3, height, width))
    return int(shapes[0][2]), int(shapes[0][3])
