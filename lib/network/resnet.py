"""ResNet v1 as the original Caffe release laid it out, built from a table of stages.

He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016). Layer and parameter names are those of the
released Caffe models (`res4b22_branch2c_weight`, `bn4b22_branch2c_gamma`, ...), so converted files load by name.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence

import mxnet as mx

from fullconv.lib.network.norm import Norm, fixed_batch_norm


class ResNetSpec(NamedTuple):
    """What distinguishes one ResNet from another.

    units: bottleneck blocks in res2, res3, res4, res5.
    width: multiplier of all channel counts (1.0 is the published network).
    numbered: whether blocks after the first are b1, b2, ... (101 and 152 layers: res3 and res4) or b, c, d, ...
    """

    units: Sequence[int]
    width: float = 1.0
    numbered: bool = False


RESNETS: Dict[str, ResNetSpec] = {
    "resnet_v1_50": ResNetSpec((3, 4, 6, 3)),
    "resnet_v1_101": ResNetSpec((3, 4, 23, 3), numbered=True),
    "resnet_v1_152": ResNetSpec((3, 8, 36, 3), numbered=True),
    # Ours, for the embedded data set: trained from scratch in minutes on two cores.
    "resnet_v1_small": ResNetSpec((1, 2, 2, 1), width=0.25),
}


def block_names(stage: int, units: int, numbered: bool) -> List[str]:
    """Names of one stage's blocks: `res3a, res3b1, res3b2, ...` or `res2a, res2b, res2c`."""
    if numbered and stage in (3, 4):
        return [f"{stage}a"] + [f"{stage}b{i}" for i in range(1, units)]
    return [f"{stage}{chr(ord('a') + i)}" for i in range(units)]


class ResNetBuilder:
    """Builds the symbol of one ResNet; `norm` is the normalisation after every convolution."""

    def __init__(self, spec: ResNetSpec, norm: Norm = fixed_batch_norm) -> None:
        self.spec = spec
        self.norm = norm

    def channels(self, published: int) -> int:
        """Channel count at this width, a multiple of 16, the block of the processor's fast convolutions."""
        return max(16, int(round(published * self.spec.width / 16)) * 16)

    def branch(
        self, data: mx.sym.Symbol, block: str, part: str, channels: int, relu: bool = True, **attributes
    ) -> mx.sym.Symbol:
        """A block's convolution `res<block>_branch<part>`, its normalisation `bn<block>_branch<part>` and ReLU."""
        name = f"res{block}_branch{part}"
        data = mx.sym.Convolution(data, name=name, num_filter=channels, no_bias=True, **attributes)
        return self.norm(data, f"bn{block}_branch{part}", channels, f"{name}_relu" if relu else None)

    def bottleneck(
        self, data: mx.sym.Symbol, block: str, width: int, stride: int, dilate: int, project: bool
    ) -> mx.sym.Symbol:
        """1x1 (carrying the stride) - 3x3 (carrying the dilation) - 1x1, plus the identity or a projection."""
        shortcut, step, around = data, (stride, stride), (dilate, dilate)
        if project:
            shortcut = self.branch(data, block, "1", 4 * width, relu=False, kernel=(1, 1), stride=step)
        body = self.branch(data, block, "2a", width, kernel=(1, 1), stride=step)
        body = self.branch(body, block, "2b", width, kernel=(3, 3), pad=around, dilate=around)
        body = self.branch(body, block, "2c", 4 * width, relu=False, kernel=(1, 1))
        # elementwise, not broadcast: oneDNN fuses it with the convolution and needs half the memory.
        body = mx.sym.elemwise_add(shortcut, body, name=f"res{block}")
        return mx.sym.Activation(body, act_type="relu", name=f"res{block}_relu")

    def stem(self, data: mx.sym.Symbol) -> mx.sym.Symbol:
        """7x7/2 convolution and 3x3/2 max pooling with Caffe's ceiling rule."""
        channels = self.channels(64)
        data = mx.sym.Convolution(
            data, name="conv1", num_filter=channels, kernel=(7, 7), stride=(2, 2), pad=(3, 3), no_bias=True
        )
        data = self.norm(data, "bn_conv1", channels, "conv1_relu")
        return mx.sym.Pooling(
            data, name="pool1", kernel=(3, 3), stride=(2, 2), pool_type="max", pooling_convention="full"
        )

    def features(self, data: mx.sym.Symbol, strides: Sequence[int], dilates: Sequence[int]) -> Dict[str, mx.sym.Symbol]:
        """Outputs of the four stages, keyed `res2` to `res5`.

        data: (N,3,H,W). strides, dilates: per stage; the stride sits on a stage's first block. Published FCIS uses
        strides (1,2,2,1) and dilates (1,1,1,2), so that res4 and res5 both have stride 16.
        """
        data = self.stem(data)
        stages = {}
        for index, (units, stride, dilate) in enumerate(zip(self.spec.units, strides, dilates)):
            stage = index + 2
            width = self.channels(64 * 2**index)
            for position, block in enumerate(block_names(stage, units, self.spec.numbered)):
                first = position == 0
                data = self.bottleneck(data, block, width, stride if first else 1, dilate, project=first)
            stages[f"res{stage}"] = data
        return stages


def resnet_v1(name: str, norm: Norm = fixed_batch_norm) -> ResNetBuilder:
    """Builder of a named ResNet; ValueError lists the known names."""
    if name not in RESNETS:
        raise ValueError(f"no backbone named {name!r}; known: {', '.join(sorted(RESNETS))}")
    return ResNetBuilder(RESNETS[name], norm)
