"""ResNet v1 as the original Caffe release laid it out, built from a table of stages.

He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016). Layer and parameter names are those of the
released Caffe models (`res4b22_branch2c_weight`, `bn4b22_branch2c_gamma`, ...), so converted files load by name.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence

import mxnet as mx


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
    """Builds the symbol of one ResNet.

    trained_norm: False keeps every BatchNorm at its stored statistics (`use_global_stats`), as fine-tuning
    detectors do; True trains with batch statistics, for networks that start from scratch.
    """

    def __init__(self, spec: ResNetSpec, trained_norm: bool = False) -> None:
        self.spec = spec
        self.trained_norm = trained_norm

    def channels(self, published: int) -> int:
        """Channel count at this width, a multiple of 16, the block of the processor's fast convolutions."""
        return max(16, int(round(published * self.spec.width / 16)) * 16)

    def conv_norm(self, data: mx.sym.Symbol, conv: str, norm: str, **attributes) -> mx.sym.Symbol:
        """Convolution without bias, then BatchNorm (eps 1e-5, gamma used)."""
        data = mx.sym.Convolution(data, name=conv, no_bias=True, **attributes)
        return mx.sym.BatchNorm(data, name=norm, use_global_stats=not self.trained_norm, fix_gamma=False, eps=1e-5)

    def branch(self, data: mx.sym.Symbol, block: str, part: str, **attributes) -> mx.sym.Symbol:
        """One convolution of a block: `res<block>_branch<part>` with its BatchNorm `bn<block>_branch<part>`."""
        return self.conv_norm(data, f"res{block}_branch{part}", f"bn{block}_branch{part}", **attributes)

    def bottleneck(
        self, data: mx.sym.Symbol, block: str, width: int, stride: int, dilate: int, project: bool
    ) -> mx.sym.Symbol:
        """1x1 (carrying the stride) - 3x3 (carrying the dilation) - 1x1, plus the identity or a projection."""
        shortcut = data
        if project:
            shortcut = self.branch(data, block, "1", num_filter=4 * width, kernel=(1, 1), stride=(stride, stride))
        body = self.branch(data, block, "2a", num_filter=width, kernel=(1, 1), stride=(stride, stride))
        body = mx.sym.Activation(body, act_type="relu", name=f"res{block}_branch2a_relu")
        body = self.branch(
            body, block, "2b", num_filter=width, kernel=(3, 3), pad=(dilate, dilate), dilate=(dilate, dilate)
        )
        body = mx.sym.Activation(body, act_type="relu", name=f"res{block}_branch2b_relu")
        body = self.branch(body, block, "2c", num_filter=4 * width, kernel=(1, 1))
        body = mx.sym.elemwise_add(shortcut, body, name=f"res{block}")
        return mx.sym.Activation(body, act_type="relu", name=f"res{block}_relu")

    def stem(self, data: mx.sym.Symbol) -> mx.sym.Symbol:
        """7x7/2 convolution and 3x3/2 max pooling with Caffe's ceiling rule."""
        data = self.conv_norm(
            data, "conv1", "bn_conv1", num_filter=self.channels(64), kernel=(7, 7), stride=(2, 2), pad=(3, 3)
        )
        data = mx.sym.Activation(data, act_type="relu", name="conv1_relu")
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


def resnet_v1(name: str, trained_norm: bool = False) -> ResNetBuilder:
    """Builder of a named ResNet; KeyError lists the known names."""
    if name not in RESNETS:
        raise KeyError(f"no backbone named {name!r}; known: {', '.join(sorted(RESNETS))}")
    return ResNetBuilder(RESNETS[name], trained_norm)
