"""Feature pyramid: every map of a backbone, joined with all coarser ones.

Lin et al., "Feature Pyramid Networks for Object Detection" (CVPR 2017), with the two extra levels of RetinaNet (Lin et
al., ICCV 2017), as FCOS uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Tuple

import mxnet as mx

from fullconv.lib.network.backbone import Backbone, FeatureMap

FIRST_NUMBER = 2
"""Number in the names of the finest map's layers: files keep number 1 for a finer map, which is not used."""


@dataclass(frozen=True)
class FPNSpec:
    """maps: names of the backbone's maps that are joined, finest first, each of twice the stride of the one before.

    channels: of every level. top_from_body: the extra levels start from the backbone's coarsest map instead of the
    pyramid's. prefix: of all layers' names. top: extra levels, 0 to 2.
    """

    maps: Tuple[str, ...] = ("res3", "res4", "res5")
    channels: int = 256
    top_from_body: bool = False
    prefix: str = "backbone.fpn."
    top: int = 2

    def __post_init__(self) -> None:
        if self.top not in (0, 1, 2):
            raise ValueError(f"a pyramid with top={self.top}: 0, 1 and 2 levels above the backbone's are known")


class FPN:
    """A backbone on top of a backbone; its maps are called P3, P4, ... by the logarithm of their stride."""

    def __init__(self, body: Backbone, spec: FPNSpec = FPNSpec()) -> None:
        self.body, self.spec = body, spec

    def features(self, data: mx.sym.Symbol) -> Dict[str, FeatureMap]:
        """A level per map of the body and `top` coarser ones, each (N, channels, h, w)."""
        body = self.body.features(data)
        maps = [body[name] for name in self.spec.maps]
        levels = self._join(maps)
        levels += self._top(maps[-1], levels[-1])
        # Strides are powers of two: the position of the only bit is the logarithm.
        return {f"P{level.stride.bit_length() - 1}": level for level in levels}

    def _join(self, maps: List[FeatureMap]) -> List[FeatureMap]:
        """From the coarsest down: each map's 1x1 convolution plus the coarser sum, then a 3x3 convolution.

        Sums are passed on, not what the 3x3 convolution makes of them.
        """
        levels: List[FeatureMap] = []
        total = None
        for number, feature in reversed(list(enumerate(maps, FIRST_NUMBER))):
            inner = self._convolution(feature.symbol, f"fpn_inner{number}", kernel=1)
            total = inner if total is None else inner + _twice_as_large(total, inner)
            level = self._convolution(total, f"fpn_layer{number}", kernel=3)
            levels.insert(0, FeatureMap(level, feature.stride, self.spec.channels))
        return levels

    def _top(self, body: FeatureMap, last: FeatureMap) -> List[FeatureMap]:
        """Up to two levels above the last, each by a 3x3 convolution of stride 2; a ReLU stands between them only."""
        if not self.spec.top:
            return []
        # The original looks at the channels alone, so a body with as many as the pyramid is never taken.
        source = body if self.spec.top_from_body and body.channels != self.spec.channels else last
        p6 = self._convolution(source.symbol, "top_blocks.p6", kernel=3, stride=2)
        first = FeatureMap(p6, 2 * last.stride, self.spec.channels)
        if self.spec.top == 1:
            return [first]
        # Not `Activation`: where P6 is an output of the graph, MXNet 1.9.1 loses that on processors when it fuses the
        # two, and P7 would be made from P6 as it is.
        relu = mx.sym.relu(p6, name=f"{self.spec.prefix}top_blocks.p6_relu")
        p7 = self._convolution(relu, "top_blocks.p7", kernel=3, stride=2)
        return [first, FeatureMap(p7, 4 * last.stride, self.spec.channels)]

    def _convolution(self, data: mx.sym.Symbol, name: str, kernel: int, stride: int = 1) -> mx.sym.Symbol:
        pad = kernel // 2
        return mx.sym.Convolution(
            data,
            name=self.spec.prefix + name,
            num_filter=self.spec.channels,
            kernel=(kernel, kernel),
            stride=(stride, stride),
            pad=(pad, pad),
        )


def _twice_as_large(coarse: mx.sym.Symbol, fine: mx.sym.Symbol) -> mx.sym.Symbol:
    """Every pixel four times, cut to the size of `fine`, whose sides are twice as long or one pixel less.

    The originals take the nearest pixel at the ratio of the sizes, which is the same pixel for either size.
    """
    return mx.sym.slice_like(mx.sym.UpSampling(coarse, scale=2, sample_type="nearest"), fine, axes=(2, 3))
