"""VoVNet: blocks that put all their layers' maps together once, at their end.

Lee et al., "An Energy and GPU-Computation Efficient Backbone Network for Real-Time Object Detection" (CVPRW 2019),
table 2; version 2, with the identity around a block and a gate on its channels: Lee and Park, "CenterMask" (CVPR 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

import mxnet as mx

from fullconv.lib.network.backbone import FeatureMap
from fullconv.lib.network.halved import halved
from fullconv.lib.network.norm import FIXED, NormSpec
from fullconv.lib.network.unit import Unit

LAYERS = 5
"""3x3 convolutions of a block."""

STEM_STRIDE = 4


@dataclass(frozen=True)
class VoVNetSpec:
    """blocks, widths, outputs: of the stages res2 to res5: blocks, channels of their 3x3 convolutions, and of what
    they come out with. stem: channels of the three convolutions at the beginning. norm: after every convolution.
    """

    blocks: Tuple[int, int, int, int]
    widths: Tuple[int, int, int, int] = (128, 160, 192, 224)
    outputs: Tuple[int, int, int, int] = (256, 512, 768, 1024)
    stem: Tuple[int, int, int] = (64, 64, 128)
    norm: NormSpec = FIXED
    prefix: str = "backbone.body."


VOVNETS = {"V-39": VoVNetSpec((1, 1, 2, 2)), "V-57": VoVNetSpec((1, 1, 4, 3)), "V-99": VoVNetSpec((1, 3, 9, 3))}


class VoVNet:
    """The backbone of a specification."""

    def __init__(self, spec: VoVNetSpec) -> None:
        self.spec, self._named = spec, Unit(spec.prefix, spec.norm)

    def features(self, data: mx.sym.Symbol) -> Dict[str, FeatureMap]:
        """Maps `res2` to `res5`, of strides 4, 8, 16, 32, of images (N, 3, H, W)."""
        spec, stride = self.spec, STEM_STRIDE
        for number, (channels, step) in enumerate(zip(spec.stem, (2, 1, 2)), start=1):
            data = self._unit(data, f"stem.{number}", channels, stride=step)
        maps = {}
        for stage, (blocks, width, outputs) in enumerate(zip(spec.blocks, spec.widths, spec.outputs), start=2):
            if stage > 2:
                data, stride = halved(data, "max", kernel=3), 2 * stride
            for index in range(blocks):
                block = self._block(data, f"stage{stage}.{index}", width, outputs)
                data = block if index == 0 else mx.sym.elemwise_add(data, block, name=f"stage{stage}.{index}.sum")
            maps[f"res{stage}"] = FeatureMap(data, stride, outputs)
        return maps

    def _block(self, data: mx.sym.Symbol, name: str, width: int, outputs: int) -> mx.sym.Symbol:
        """3x3 convolutions one after the other, a 1x1 convolution of all their maps, and the gate."""
        maps = [data]
        for layer in range(LAYERS):
            maps.append(self._unit(maps[-1], f"{name}.layers.{layer}", width))
        joined = self._unit(mx.sym.concat(*maps, dim=1), f"{name}.concat", outputs, kernel=1)
        return self._gated(joined, f"{name}.ese", outputs)

    def _gated(self, data: mx.sym.Symbol, name: str, channels: int) -> mx.sym.Symbol:
        """Every channel times a number between 0 and 1 that follows from all channels' means (eSE)."""
        means = mx.sym.mean(data, axis=(2, 3), keepdims=True)
        gate = mx.sym.Convolution(means, name=f"{self.spec.prefix}{name}.fc", num_filter=channels, kernel=(1, 1))
        return mx.sym.broadcast_mul(data, mx.sym.clip(gate + 3, 0, 6) / 6)

    def _unit(self, data: mx.sym.Symbol, name: str, channels: int, kernel: int = 3, stride: int = 1) -> mx.sym.Symbol:
        return self._named(data, f"{name}.conv", f"{name}.norm", channels, kernel, stride)
