"""MobileNetV2: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (CVPR 2018), table 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict

import mxnet as mx

from fullconv.lib.network.backbone import FeatureMap
from fullconv.lib.network.norm import NormSpec
from fullconv.lib.network.unit import Unit

STEM = 32
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks, stride of the first block; the last 1x1 convolution is left out, as FCOS does."""

MAPS = {"res2": 3, "res3": 6, "res4": 13, "res5": 17}
"""Number of the block whose output is the last of its stride, by the names of a ResNet's maps."""


@dataclass(frozen=True)
class MobileNetV2Spec:
    """norm: after every convolution. width: factor on all channels. prefix: of all names, which are PyTorch's."""

    norm: NormSpec = NormSpec("batch")
    width: float = 1.0
    prefix: str = "backbone.body.features."


class MobileNetV2:
    """The backbone of a specification."""

    def __init__(self, spec: MobileNetV2Spec = MobileNetV2Spec()) -> None:
        self.spec, self._linear = spec, Unit(spec.prefix, spec.norm)

    def features(self, data: mx.sym.Symbol) -> Dict[str, FeatureMap]:
        """Maps `res2` to `res5`, of strides 4, 8, 16, 32, of images (N, 3, H, W)."""
        names = {number: name for name, number in MAPS.items()}
        channels, stride, number = int(STEM * self.spec.width), 2, 0
        data = self._unit(data, "0.0", "0.1", channels, kernel=3, stride=2)
        maps = {}
        for expansion, outputs, blocks, first in STAGES:
            for step in [first] + [1] * (blocks - 1):
                number += 1
                data = self._block(data, number, channels, int(outputs * self.spec.width), step, expansion)
                channels, stride = int(outputs * self.spec.width), stride * step
                if number in names:
                    maps[names[number]] = FeatureMap(data, stride, channels)
        return maps

    def _block(
        self, data: mx.sym.Symbol, number: int, inputs: int, outputs: int, stride: int, expansion: int
    ) -> mx.sym.Symbol:
        """Wider, 3x3 on each channel, narrower again without a ReLU; around it the identity where sizes allow."""
        hidden, names = int(round(inputs * expansion)), [f"{number}.conv.{index}" for index in (0, 1, 3, 4, 6, 7)]
        body = data
        if expansion != 1:
            body = self._unit(body, names.pop(0), names.pop(0), hidden)
        body = self._unit(body, names[0], names[1], hidden, kernel=3, stride=stride, groups=hidden)
        body = self._unit(body, names[2], names[3], outputs, relu=False)
        same = stride == 1 and inputs == outputs
        return mx.sym.elemwise_add(data, body, name=self._name(f"{number}.sum")) if same else body

    def _unit(
        self,
        data: mx.sym.Symbol,
        conv: str,
        norm: str,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        relu: bool = True,
    ) -> mx.sym.Symbol:
        data = self._linear(data, conv, norm, channels, kernel, stride, groups, relu=False)
        return mx.sym.clip(data, 0, 6, name=self._name(f"{norm}_relu6")) if relu else data

    def _name(self, name: str) -> str:
        return self.spec.prefix + name
