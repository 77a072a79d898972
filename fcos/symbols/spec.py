"""The numbers that the FCOS graphs are built from; `fcos.assembly` makes them from a configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Tuple, Union

from fullconv.fcos.levels import STRIDES, level_name
from fullconv.lib.network.dla import DLASpec
from fullconv.lib.network.fpn import FPNSpec
from fullconv.lib.network.hrfpn import HRFPNSpec
from fullconv.lib.network.hrnet import HRNetSpec
from fullconv.lib.network.mobilenet_v2 import MobileNetV2Spec
from fullconv.lib.network.resnet_spec import ResNetSpec
from fullconv.lib.network.vovnet import VoVNetSpec

BodySpec = Union[ResNetSpec, MobileNetV2Spec, HRNetSpec, VoVNetSpec, DLASpec]


@dataclass(frozen=True)
class HeadSpec:
    """classes: without the background. convs: of each tower. shared: convolutions in front of both towers, which may
    then have none. normalised: distances are in strides, made positive by a
    ReLU, instead of in pixels and by exp. centerness_on_boxes: predicted behind the tower of the boxes instead of that
    of the classes. deformable: whether the last convolution of both towers is, in version 2. prefix: of all names.
    """

    classes: int
    convs: int = 4
    shared: int = 0
    normalised: bool = False
    centerness_on_boxes: bool = False
    deformable: bool = False
    prefix: str = "rpn.head."


@dataclass(frozen=True)
class NetworkSpec:
    """Backbone, pyramid, head; strides: of the levels that the pyramid has."""

    head: HeadSpec
    body: BodySpec
    fpn: Union[FPNSpec, HRFPNSpec] = field(default_factory=FPNSpec)
    strides: Tuple[int, ...] = STRIDES

    @property
    def levels(self) -> List[str]:
        """P3 and so on, by the logarithms of the strides."""
        return [level_name(stride) for stride in self.strides]


@dataclass(frozen=True)
class LossSpec:
    """alpha, gamma: of the focal loss. iou: iou, linear_iou or giou. radius: of center sampling, in strides; 0 takes
    whole boxes. sizes: farthest side in pixels that a level is for, the last having no limit. strides: of the levels.
    quality: what the third output learns, "ctrness" or "iou".
    """

    alpha: float = 0.25
    gamma: float = 2.0
    iou: str = "iou"
    radius: float = 0.0
    sizes: Tuple[float, ...] = (64.0, 128.0, 256.0, 512.0)
    strides: Tuple[int, ...] = STRIDES
    quality: str = "ctrness"
