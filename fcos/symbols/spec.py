"""The numbers that the FCOS graphs are built from; `fcos.assembly` makes them from a configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Tuple, Union

from fullconv.fcos.levels import STRIDES as STRIDES
from fullconv.lib.network.fpn import FPNSpec
from fullconv.lib.network.mobilenet_v2 import MobileNetV2Spec
from fullconv.lib.network.resnet_spec import ResNetSpec


@dataclass(frozen=True)
class HeadSpec:
    """classes: without the background. convs: of each tower. normalised: distances are in strides, made positive by a
    ReLU, instead of in pixels and by exp. centerness_on_boxes: predicted behind the tower of the boxes instead of that
    of the classes. deformable: whether the last convolution of both towers is, in version 2. prefix: of all names.
    """

    classes: int
    convs: int = 4
    normalised: bool = False
    centerness_on_boxes: bool = False
    deformable: bool = False
    prefix: str = "rpn.head."


@dataclass(frozen=True)
class NetworkSpec:
    """Backbone, pyramid, head."""

    head: HeadSpec
    body: Union[ResNetSpec, MobileNetV2Spec]
    fpn: FPNSpec = field(default_factory=FPNSpec)


@dataclass(frozen=True)
class LossSpec:
    """alpha, gamma: of the focal loss. iou: iou, linear_iou or giou. radius: of center sampling, in strides; 0 takes
    whole boxes. sizes: farthest side in pixels that a level is for, the last having no limit.
    """

    alpha: float = 0.25
    gamma: float = 2.0
    iou: str = "iou"
    radius: float = 0.0
    sizes: Tuple[float, ...] = (64.0, 128.0, 256.0, 512.0)
