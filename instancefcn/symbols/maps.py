"""Backbone and the two branches: instance-sensitive score maps and objectness (Dai et al., ECCV 2016, section 3.1)."""

from __future__ import annotations

from typing import NamedTuple

import mxnet as mx

from fullconv.instancefcn.symbols.spec import NetworkSpec
from fullconv.lib.network.backbone import Backbone, FeatureMap
from fullconv.lib.network.norm import normalize
from fullconv.lib.network.resnet import ResNet
from fullconv.lib.network.vgg import VGG16, VGG16Spec

NEW_LAYERS = ("mask_conv", "mask_score", "objectness_conv", "objectness_score")
OUTPUT_LAYERS = ("mask_score", "objectness_score")


class Maps(NamedTuple):
    """scores (N, k*k, h, w): channel gy*k + gx for row gy and column gx of the relative position. objectness
    (N, 1, h, w). Both are logits."""

    scores: mx.sym.Symbol
    objectness: mx.sym.Symbol


def backbone(network: NetworkSpec) -> Backbone:
    """The body of a network."""
    return VGG16(network.body) if isinstance(network.body, VGG16Spec) else ResNet(network.body)


def feature(network: NetworkSpec) -> FeatureMap:
    """The map that the branches stand on, of images `data` (N, 3, H, W)."""
    return backbone(network).features(mx.sym.Variable("data"))[network.feature]


def network_maps(network: NetworkSpec) -> Maps:
    """What the network says about images `data` (N, 3, H, W)."""
    data = feature(network).symbol
    mask = _hidden(data, network, "mask_conv", kernel=1)
    scores = convolution(mask, "mask_score", network.group**2, kernel=3)
    objectness = _hidden(data, network, "objectness_conv", kernel=3)
    return Maps(scores, convolution(objectness, "objectness_score", 1, kernel=1))


def _hidden(data: mx.sym.Symbol, network: NetworkSpec, name: str, kernel: int) -> mx.sym.Symbol:
    data = convolution(data, name, network.hidden, kernel)
    if network.norm is None:
        return mx.sym.Activation(data, act_type="relu", name=f"{name}_relu")
    return normalize(data, network.norm, f"{name}_norm", network.hidden, f"{name}_relu")


def convolution(
    data: mx.sym.Symbol, name: str, channels: int, kernel: int, pad: bool = True, dilation: int = 1
) -> mx.sym.Symbol:
    """A convolution that keeps the size of its map, or with `pad` False sees whole neighbourhoods only."""
    side = kernel // 2 if pad else 0
    return mx.sym.Convolution(
        data, name=name, num_filter=channels, kernel=(kernel, kernel), pad=(side, side), dilate=(dilation, dilation)
    )
