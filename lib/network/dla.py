"""DLA-34: trees of blocks whose roots put together what their branches found.

Yu et al., "Deep Layer Aggregation" (CVPR 2018), figure 3. Names are those of the published ImageNet file, the last dot
an underscore.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Sequence, Tuple

import mxnet as mx

from fullconv.lib.network.backbone import FeatureMap
from fullconv.lib.network.halved import halved
from fullconv.lib.network.norm import FIXED, NormSpec
from fullconv.lib.network.unit import Unit


@dataclass(frozen=True)
class DLASpec:
    """depths, channels: of levels 2 to 5, whose trees have 2 ** depth blocks. first: channels of the three
    convolutions before them. norm: after every convolution.
    """

    depths: Tuple[int, int, int, int] = (1, 2, 2, 1)
    channels: Tuple[int, int, int, int] = (64, 128, 256, 512)
    first: Tuple[int, int, int] = (16, 16, 32)
    norm: NormSpec = FIXED
    prefix: str = "backbone.body."


class DLA:
    """The backbone of a specification."""

    def __init__(self, spec: DLASpec = DLASpec()) -> None:
        self.spec, self._unit = spec, Unit(spec.prefix, spec.norm)

    def features(self, data: mx.sym.Symbol) -> Dict[str, FeatureMap]:
        """Maps `res2` to `res5`, levels 2 to 5 of the paper, of strides 4, 8, 16, 32, of images (N, 3, H, W)."""
        spec, inputs = self.spec, self.spec.first[2]
        data = self._unit(data, "base_layer.0", "base_layer.1", spec.first[0], kernel=7)
        data = self._unit(data, "level0.0", "level0.1", spec.first[1])
        data = self._unit(data, "level1.0", "level1.1", spec.first[2], stride=2)
        maps = {}
        for level, (depth, channels) in enumerate(zip(spec.depths, spec.channels), start=2):
            # From level 3 on the root also sees what the level began with.
            data = self._tree(data, f"level{level}", depth, inputs, channels, stride=2, with_input=level > 2)
            maps[f"res{level}"] = FeatureMap(data, 2**level, channels)
            inputs = channels
        return maps

    def _tree(
        self,
        data: mx.sym.Symbol,
        name: str,
        depth: int,
        inputs: int,
        channels: int,
        stride: int = 1,
        with_input: bool = False,
        seen: Sequence[mx.sym.Symbol] = (),
    ) -> mx.sym.Symbol:
        """Two branches, one after the other: trees of one depth less, at depth 1 blocks under a root of their own.

        seen: maps that the last root below this tree also puts together.
        """
        smaller = halved(data, "max") if stride == 2 else data
        more: List[mx.sym.Symbol] = [*seen, *([smaller] if with_input else [])]
        if depth > 1:
            left = self._tree(data, f"{name}.tree1", depth - 1, inputs, channels, stride)
            return self._tree(left, f"{name}.tree2", depth - 1, channels, channels, seen=[*more, left])
        shortcut = smaller
        if inputs != channels:
            shortcut = self._unit(smaller, f"{name}.project.0", f"{name}.project.1", channels, kernel=1, relu=False)
        left = self._block(data, f"{name}.tree1", channels, shortcut, stride)
        right = self._block(left, f"{name}.tree2", channels, left)
        joined = mx.sym.concat(right, left, *more, dim=1)
        return self._unit(joined, f"{name}.root.conv", f"{name}.root.bn", channels, kernel=1)

    def _block(
        self, data: mx.sym.Symbol, name: str, channels: int, shortcut: mx.sym.Symbol, stride: int = 1
    ) -> mx.sym.Symbol:
        body = self._unit(data, f"{name}.conv1", f"{name}.bn1", channels, stride=stride)
        body = self._unit(body, f"{name}.conv2", f"{name}.bn2", channels, relu=False)
        total = mx.sym.elemwise_add(body, shortcut, name=f"{self.spec.prefix}{name}.sum")
        return mx.sym.Activation(total, act_type="relu", name=f"{self.spec.prefix}{name}.sum_relu")
