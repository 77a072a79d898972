"""HRNet: branches of four resolutions that never go away, and tell each other what they see.

Sun et al., "High-Resolution Representations for Labeling Pixels and Regions" (2019), HRNetV2; Wang et al. (PAMI 2020).
Names are those of the published ImageNet files, the last dot an underscore.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List

import mxnet as mx

from fullconv.lib.network.backbone import FeatureMap
from fullconv.lib.network.norm import FIXED, NormSpec
from fullconv.lib.network.unit import Unit

STEM, STEM_STRIDE, FIRST = 64, 4, 256
"""Channels and stride of the two convolutions at the beginning; channels of the bottleneck blocks behind them."""

MODULES = {2: 1, 3: 4, 4: 3}
"""Exchanges between branches by stage; a stage has as many branches as its number says."""

BLOCKS = 4
"""Of every branch between two exchanges, and of the first stage."""

WIDTHS = {"HRNET-W18": 18, "HRNET-W32": 32, "HRNET-W40": 40}


@dataclass(frozen=True)
class HRNetSpec:
    """width: channels of the finest branch, doubled with every coarser one. norm: after every convolution."""

    width: int
    norm: NormSpec = FIXED
    prefix: str = "backbone.body."


class HRNet:
    """The backbone of a specification."""

    def __init__(self, spec: HRNetSpec) -> None:
        self.spec, self._unit = spec, Unit(spec.prefix, spec.norm)

    def features(self, data: mx.sym.Symbol) -> Dict[str, FeatureMap]:
        """The four branches, `branch0` to `branch3`, of strides 4, 8, 16, 32, of images (N, 3, H, W)."""
        for name in "12":
            data = self._unit(data, f"conv{name}", f"bn{name}", STEM, stride=2)
        for index in range(BLOCKS):
            data = self._bottleneck(data, f"layer1.{index}", project=index == 0)
        branches = [data]
        for stage, modules in MODULES.items():
            branches = self._transition(branches, stage)
            for module in range(modules):
                branches = self._module(branches, f"stage{stage}.{module}")
        return {
            f"branch{i}": FeatureMap(branch, STEM_STRIDE << i, self._channels(i)) for i, branch in enumerate(branches)
        }

    def _channels(self, branch: int) -> int:
        return self.spec.width << branch

    def _bottleneck(self, data: mx.sym.Symbol, name: str, project: bool) -> mx.sym.Symbol:
        shortcut = data
        if project:
            shortcut = self._unit(data, f"{name}.downsample.0", f"{name}.downsample.1", FIRST, kernel=1, relu=False)
        body = self._unit(data, f"{name}.conv1", f"{name}.bn1", FIRST // 4, kernel=1)
        body = self._unit(body, f"{name}.conv2", f"{name}.bn2", FIRST // 4)
        body = self._unit(body, f"{name}.conv3", f"{name}.bn3", FIRST, kernel=1, relu=False)
        return self._sum([shortcut, body], name)

    def _basic(self, data: mx.sym.Symbol, name: str, channels: int) -> mx.sym.Symbol:
        body = self._unit(data, f"{name}.conv1", f"{name}.bn1", channels)
        return self._sum([data, self._unit(body, f"{name}.conv2", f"{name}.bn2", channels, relu=False)], name)

    def _transition(self, branches: List[mx.sym.Symbol], stage: int) -> List[mx.sym.Symbol]:
        """As many branches as the stage has: the first stage's map becomes two, later a coarser one joins."""
        name, new = f"transition{stage - 1}", len(branches)
        kept = branches
        if stage == 2:
            kept = [self._unit(branches[0], f"{name}.0.0", f"{name}.0.1", self._channels(0))]
        # The files count the new branch's steps, of which there is one here.
        added = f"{name}.{new}.0"
        return [*kept, self._unit(branches[-1], f"{added}.0", f"{added}.1", self._channels(new), stride=2)]

    def _module(self, branches: List[mx.sym.Symbol], name: str) -> List[mx.sym.Symbol]:
        """Every branch by itself, then each the sum of all, brought to its resolution."""
        for i in range(len(branches)):
            for index in range(BLOCKS):
                branches[i] = self._basic(branches[i], f"{name}.branches.{i}.{index}", self._channels(i))
        fused = []
        for i in range(len(branches)):
            terms = [self._brought(branches, j, i, f"{name}.fuse_layers.{i}.{j}") for j in range(len(branches))]
            fused.append(self._sum(terms, f"{name}.fuse_layers.{i}"))
        return fused

    def _brought(self, branches: List[mx.sym.Symbol], source: int, target: int, name: str) -> mx.sym.Symbol:
        data = branches[source]
        if source > target:
            # Fewer channels first, as the pixels are the same whichever comes first and there are fewer of them.
            data = self._unit(data, f"{name}.0", f"{name}.1", self._channels(target), kernel=1, relu=False)
            larger = mx.sym.UpSampling(data, scale=1 << (source - target), sample_type="nearest")
            # Sides that are no multiple of 32 were rounded up on the way down.
            return mx.sym.slice_like(larger, branches[target], axes=(2, 3))
        for step in range(target - source):
            last = step == target - source - 1
            channels = self._channels(target if last else source)
            data = self._unit(data, f"{name}.{step}.0", f"{name}.{step}.1", channels, stride=2, relu=not last)
        return data

    def _sum(self, terms: List[mx.sym.Symbol], name: str) -> mx.sym.Symbol:
        total = mx.sym.add_n(*terms, name=f"{self.spec.prefix}{name}.sum")
        return mx.sym.Activation(total, act_type="relu", name=f"{self.spec.prefix}{name}.sum_relu")
