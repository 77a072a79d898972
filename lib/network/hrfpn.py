"""The pyramid of HRNet: all branches on the finest grid, then averaged down.

Sun et al., "High-Resolution Representations for Labeling Pixels and Regions" (2019), HRNetV2p.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

import mxnet as mx

from fullconv.lib.network.backbone import Backbone, FeatureMap
from fullconv.lib.network.halved import halved


@dataclass(frozen=True)
class HRFPNSpec:
    """strides: of the levels, ascending powers of two from the finest branch's on. channels: of every level. prefix: of
    all names.
    """

    strides: Tuple[int, ...] = (8, 16, 32, 64, 128)
    channels: int = 256
    prefix: str = "backbone.fpn."


class HRFPN:
    """A backbone on top of one with branches; its maps are called P3, P4, ... by the logarithm of their stride."""

    def __init__(self, body: Backbone, spec: HRFPNSpec = HRFPNSpec()) -> None:
        self.body, self.spec = body, spec

    def features(self, data: mx.sym.Symbol) -> Dict[str, FeatureMap]:
        """A level per stride, each (N, channels, h, w)."""
        maps = list(self.body.features(data).values())
        finest = maps[0]
        # Bilinear as the paper has it; made as large as the finest, whatever rounding did on the way down.
        larger = [
            mx.sym.contrib.BilinearResize2D(m.symbol, finest.symbol, mode="like", align_corners=False) for m in maps[1:]
        ]
        joined = mx.sym.concat(finest.symbol, *larger, dim=1)
        joined = self._convolution(joined, "reduction_conv", kernel=1)
        levels, reached = {}, finest.stride
        for number, stride in enumerate(self.spec.strides):
            while reached < stride:
                # Means of means are those of the whole square.
                joined, reached = halved(joined, "avg"), 2 * reached
            level = self._convolution(joined, f"fpn_conv.{number}", kernel=3)
            levels[f"P{stride.bit_length() - 1}"] = FeatureMap(level, stride, self.spec.channels)
        return levels

    def _convolution(self, data: mx.sym.Symbol, name: str, kernel: int) -> mx.sym.Symbol:
        pad = (kernel // 2, kernel // 2)
        size = {"kernel": (kernel, kernel), "pad": pad, "num_filter": self.spec.channels}
        return mx.sym.Convolution(data, name=self.spec.prefix + name, **size)
