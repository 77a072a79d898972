"""The graphs for training and testing, of InstanceFCN and of the baseline.

Inputs of training: `data` (N, 3, H, W), `labels` (N, 1, h, w) of the windows at each place, `windows` (N, P, 3) image
of the batch, row and column of those with a mask, a negative image for none, `masks` (N, P, m, m). With P crops of
each image `data` is (N P, 3, H, W) and `labels` (N, P, h, w); of the baseline h = w = 1, and there are no windows.
"""

from __future__ import annotations

import mxnet as mx

from fullconv.instancefcn.symbols import deepmask, maps
from fullconv.instancefcn.symbols.losses import losses
from fullconv.instancefcn.symbols.spec import DEEPMASK, LossSpec, NetworkSpec, WindowSpec
from fullconv.lib.operators.assembling import assemble

OUTPUTS = ("scores", "objectness")
"""Names of the test graph's outputs."""


def new_layers(network: NetworkSpec) -> tuple:
    """Names of the layers that an ImageNet model does not have."""
    return deepmask.NEW_LAYERS if network.head == DEEPMASK else maps.NEW_LAYERS


def output_layers(network: NetworkSpec) -> tuple:
    """Names of the layers whose results are compared with targets."""
    return deepmask.OUTPUT_LAYERS if network.head == DEEPMASK else maps.OUTPUT_LAYERS


def window_spec(network: NetworkSpec) -> WindowSpec:
    """The windows of a network's head."""
    stride = maps.feature(network).stride
    if network.head != DEEPMASK:
        return WindowSpec(network.window, stride, stride)
    side, _, _, mask_side = network.deepmask
    # The image is padded by half a crop, so that the first window's centre is the image's corner.
    return WindowSpec(mask_side, side * stride // mask_side, stride, -stride // 2)


def train_symbol(network: NetworkSpec, loss: LossSpec) -> mx.sym.Symbol:
    """The losses (see `instancefcn.symbols.losses`), and what metrics look at, without gradient."""
    labels, targets = mx.sym.Variable("labels"), mx.sym.Variable("masks")
    if network.head == DEEPMASK:
        heads = deepmask.network_heads(network, train=True)
        objectness, side = heads.scores, network.deepmask[3]
        masks = mx.sym.Reshape(heads.masks, shape=(0, side, side))
    else:
        scores, objectness = maps.network_maps(network)
        windows = mx.sym.Reshape(mx.sym.Variable("windows"), shape=(-3, 0))
        masks, _ = assemble(scores, windows, network.group, network.window, network.rule, name="assembled")
    # Crops of one image are rows of `data`, and windows of one image in the targets.
    masks, objectness = mx.sym.reshape_like(masks, targets), mx.sym.reshape_like(objectness, labels)
    both = losses(objectness, labels, masks, targets, loss)
    seen = [
        mx.sym.BlockGrad(symbol, name=name) for symbol, name in ((objectness, "objectness"), (masks, "assembled_masks"))
    ]
    return mx.sym.Group([both, *seen])


def test_symbol(network: NetworkSpec) -> mx.sym.Symbol:
    """Two outputs, logits: `scores`, the score maps (1, k*k, h, w) or the baseline's masks (1, side * side, h, w), and
    `objectness` (1, 1, h, w)."""
    found = deepmask.network_heads(network, train=False) if network.head == DEEPMASK else maps.network_maps(network)
    return mx.sym.Group([mx.sym.identity(symbol, name=name) for name, symbol in zip(OUTPUTS, found)])


test_symbol.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def data_names(network: NetworkSpec) -> tuple:
    """Inputs of the training graph."""
    return ("data", "labels", "masks") if network.head == DEEPMASK else ("data", "labels", "windows", "masks")
