"""The FCOS network: backbone, pyramid, head, and the graphs for training and testing.

Tian et al., "FCOS: Fully Convolutional One-Stage Object Detection" (ICCV 2019).
"""

from __future__ import annotations

from typing import Callable, Dict, List, Sequence, Tuple

import mxnet as mx

from fullconv.fcos.levels import STRIDES
from fullconv.fcos.symbols.head import Head, LevelOutputs
from fullconv.fcos.symbols.losses import losses
from fullconv.fcos.symbols.spec import LossSpec, NetworkSpec
from fullconv.lib.network.backbone import Backbone
from fullconv.lib.network.dla import DLA, DLASpec
from fullconv.lib.network.fpn import FPN
from fullconv.lib.network.hrfpn import HRFPN, HRFPNSpec
from fullconv.lib.network.hrnet import HRNet, HRNetSpec
from fullconv.lib.network.mobilenet_v2 import MobileNetV2, MobileNetV2Spec
from fullconv.lib.network.resnet import ResNet
from fullconv.lib.network.resnet_spec import ResNetSpec
from fullconv.lib.network.vovnet import VoVNet, VoVNetSpec

DATA_NAMES = ("data", "gt_boxes", "normalizers")
OUTPUTS = LevelOutputs._fields
"""Kinds of test outputs; those of level P3 are `logits_P3` and so on."""


BODIES: Dict[type, Callable[..., Backbone]] = {
    ResNetSpec: ResNet,
    MobileNetV2Spec: MobileNetV2,
    HRNetSpec: HRNet,
    VoVNetSpec: VoVNet,
    DLASpec: DLA,
}


def pyramid(network: NetworkSpec) -> Backbone:
    """Backbone and pyramid."""
    body = BODIES[type(network.body)](network.body)
    return HRFPN(body, network.fpn) if isinstance(network.fpn, HRFPNSpec) else FPN(body, network.fpn)


def level_outputs(network: NetworkSpec) -> List[LevelOutputs]:
    """What the head says at every level about images `data` (N, 3, H, W)."""
    levels = list(pyramid(network).features(mx.sym.Variable("data")).values())
    return Head(network.head, network.fpn.channels)(levels)


def train_symbol(network: NetworkSpec, loss: LossSpec) -> mx.sym.Symbol:
    """The losses, see `fcos.symbols.losses`, of `data`, `gt_boxes` (N, G, 5) and `normalizers` (2,)."""
    targets = mx.sym.Variable("gt_boxes"), mx.sym.Variable("normalizers")
    return losses(level_outputs(network), *targets, loss, network.head.normalised)


def test_symbol(network: NetworkSpec) -> mx.sym.Symbol:
    """Three outputs per level: logits (N, C, h, w), boxes (N, 4, h, w) in pixels, centerness (N, 1, h, w)."""
    outputs = []
    for name, stride, level in zip(network.levels, network.strides, level_outputs(network)):
        level = level._replace(boxes=level.boxes * stride if network.head.normalised else level.boxes)
        outputs += [mx.sym.identity(symbol, name=f"{kind}_{name}") for kind, symbol in zip(OUTPUTS, level)]
    return mx.sym.Group(outputs)


test_symbol.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def level_sizes(height: int, width: int, strides: Sequence[int] = STRIDES) -> List[Tuple[int, int]]:
    """(h, w) of every level for an input of height x width: each convolution of stride 2 rounds up."""
    return [(-(-height // stride), -(-width // stride)) for stride in strides]
