"""The baseline of the paper, ~DeepMask (Dai et al., ECCV 2016, section 4.1): DeepMask's head on the same backbone.

Pinheiro, Collobert and Dollar, "Learning to Segment Object Candidates" (NIPS 2015), section 3. Trained on crops, where
every layer sees the whole crop; at test the same layers slide over the image as convolutions, with the same result at
each place as on the crop there.
"""

from __future__ import annotations

from typing import NamedTuple

import mxnet as mx

from fullconv.instancefcn.symbols.maps import convolution, feature
from fullconv.instancefcn.symbols.spec import NetworkSpec

NEW_LAYERS = ("trunk_conv", "mask_fc1", "mask_fc2", "score_fc1", "score_fc2", "score_fc3")
OUTPUT_LAYERS = ("mask_fc2", "score_fc3")
DROPOUT = 0.5


class Heads(NamedTuple):
    """Of each place of the window: masks (N, side * side, h, w), scores (N, 1, h, w); logits."""

    masks: mx.sym.Symbol
    scores: mx.sym.Symbol


def network_heads(network: NetworkSpec, train: bool) -> Heads:
    """What the network says about images or crops `data` (N, 3, H, W): one place for a crop."""
    side, rank, hidden, mask_side = network.deepmask
    data = convolution(feature(network).symbol, "trunk_conv", network.hidden, kernel=1)
    data = mx.sym.Activation(data, act_type="relu", name="trunk_conv_relu")
    # Nothing between the two: a layer of low rank.
    masks = convolution(data, "mask_fc1", rank, kernel=side, pad=False)
    masks = convolution(masks, "mask_fc2", mask_side**2, kernel=1)
    # Maxima of 2x2 at every place, of which the layer behind takes every second one: of a crop the same as pooling of
    # stride 2, and of an image a score at every place of the map.
    pooled = mx.sym.Pooling(data, kernel=(2, 2), stride=(1, 1), pool_type="max", name="score_pool")
    scores = convolution(pooled, "score_fc1", rank, kernel=side // 2, pad=False, dilation=2)
    scores = _dropped(mx.sym.Activation(scores, act_type="relu", name="score_fc1_relu"), "score_drop1", train)
    scores = convolution(scores, "score_fc2", hidden, kernel=1)
    scores = _dropped(mx.sym.Activation(scores, act_type="relu", name="score_fc2_relu"), "score_drop2", train)
    return Heads(masks, convolution(scores, "score_fc3", 1, kernel=1))


def _dropped(data: mx.sym.Symbol, name: str, train: bool) -> mx.sym.Symbol:
    return mx.sym.Dropout(data, p=DROPOUT, name=name) if train else data
