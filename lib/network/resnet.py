"""ResNet v1 and ResNeXt, built from a table of stages.

He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016); Xie et al., "Aggregated Residual Transformations
for Deep Neural Networks" (CVPR 2017).
"""

from __future__ import annotations

from typing import Dict, List, Optional

import mxnet as mx

from fullconv.lib.network.backbone import FeatureMap
from fullconv.lib.network.deformable import deformable_convolution
from fullconv.lib.network.norm import normalize
from fullconv.lib.network.resnet_spec import ResNetSpec

STEM_STRIDE = 4
"""Of the first convolution and the pooling together."""


def block_letters(stage: int, units: int, numbered: bool) -> List[str]:
    """Caffe's names of one stage's blocks: `a, b1, b2, ...` in stages 3 and 4 if `numbered`, else `a, b, c, ...`."""
    if numbered and stage in (3, 4):
        return ["a"] + [f"b{i}" for i in range(1, units)]
    return [chr(ord("a") + i) for i in range(units)]


class ResNet:
    """The backbone of a specification; its maps are called res2 to res5 whatever its layers are called."""

    def __init__(self, spec: ResNetSpec) -> None:
        self.spec = spec

    def features(self, data: mx.sym.Symbol) -> Dict[str, FeatureMap]:
        """Outputs of the four stages, `res2` to `res5`, of images (N, 3, H, W)."""
        spec, stride = self.spec, STEM_STRIDE
        maps, data = {}, self._stem(data)
        for stage in range(2, 6):
            # Letters are Caffe's and numbers FCOS's: a family's pattern takes what it needs.
            names = block_letters(stage, spec.units[stage - 2], spec.numbered)
            for index, letter in enumerate(names):
                block = spec.names.block.format(stage=stage, layer=stage - 1, index=index, letter=letter)
                data = self._bottleneck(data, block, stage, first=index == 0)
            stride *= spec.strides[stage - 2]
            maps[f"res{stage}"] = FeatureMap(data, stride, self._outputs(stage))
        return maps

    def _outputs(self, stage: int) -> int:
        return self.spec.outputs * 2 ** (stage - 2)

    def _stem(self, data: mx.sym.Symbol) -> mx.sym.Symbol:
        """7x7/2 convolution and 3x3/2 max pooling."""
        names, channels = self.spec.names, self.spec.stem
        data = mx.sym.Convolution(
            data, name=names.stem_conv, num_filter=channels, kernel=(7, 7), stride=(2, 2), pad=(3, 3), no_bias=True
        )
        data = self._norm(data, names.stem_norm, channels, f"{names.stem_conv}_relu")
        # Caffe's ceiling makes the map of an even size as large as padding does, its windows one pixel further on.
        rule = {"pooling_convention": "full"} if self.spec.ceil_pooling else {"pad": (1, 1)}
        return mx.sym.Pooling(data, name=names.stem_pool, kernel=(3, 3), stride=(2, 2), pool_type="max", **rule)

    def _bottleneck(self, data: mx.sym.Symbol, block: str, stage: int, first: bool) -> mx.sym.Symbol:
        """1x1 - 3x3 - 1x1 around the identity, or, in a stage's first block, around a projection with its stride."""
        spec, total = self.spec, self.spec.names.total.format(block=block)
        width, outputs = spec.groups * spec.group_width * 2 ** (stage - 2), self._outputs(stage)
        stride = spec.strides[stage - 2] if first else 1
        outer, inner = (stride, 1) if spec.stride_in_1x1 else (1, stride)
        shortcut = self._unit(data, block, 0, outputs, stride, relu=False) if first else data
        body = self._unit(data, block, 1, width, outer)
        body = self._unit(body, block, 2, width, inner, stage=stage)
        body = self._unit(body, block, 3, outputs, relu=False)
        # elementwise, not broadcast: oneDNN fuses it with the convolution and needs half the memory.
        body = mx.sym.elemwise_add(shortcut, body, name=total)
        return mx.sym.Activation(body, act_type="relu", name=f"{total}_relu")

    def _unit(
        self,
        data: mx.sym.Symbol,
        block: str,
        part: int,
        channels: int,
        stride: int = 1,
        relu: bool = True,
        stage: Optional[int] = None,
    ) -> mx.sym.Symbol:
        """Convolution `part` (0: the shortcut's) of a block, 1x1 or, with `stage`, that stage's 3x3, and its norm."""
        names = self.spec.names
        name = names.convs[part].format(block=block)
        if stage is None:
            data = mx.sym.Convolution(
                data, name=name, num_filter=channels, kernel=(1, 1), stride=(stride, stride), no_bias=True
            )
        else:
            data = self._conv3x3(data, name, channels, stride, stage)
        return self._norm(data, names.norms[part].format(block=block), channels, f"{name}_relu" if relu else None)

    def _conv3x3(self, data: mx.sym.Symbol, name: str, channels: int, stride: int, stage: int) -> mx.sym.Symbol:
        spec, names = self.spec, self.spec.names
        dilation, version = spec.dilations[stage - 2], spec.deformable[stage - 2]
        if version:
            deformed, offsets = names.deformed.format(conv=name), names.offsets.format(conv=name)
            return deformable_convolution(
                data, deformed, offsets, version, channels, stride, dilation, spec.groups, no_bias=True
            )
        # As much padding as dilation, so that only the stride changes the size of the map.
        around, step = (dilation, dilation), (stride, stride)
        return mx.sym.Convolution(
            data,
            name=name,
            num_filter=channels,
            num_group=spec.groups,
            kernel=(3, 3),
            stride=step,
            pad=around,
            dilate=around,
            no_bias=True,
        )

    def _norm(self, data: mx.sym.Symbol, name: str, channels: int, relu: Optional[str]) -> mx.sym.Symbol:
        return normalize(data, self.spec.norm, name, channels, relu, self.spec.names.arrays)
