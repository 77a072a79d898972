"""What distinguishes one ResNet from another, as data, and the published ones by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Dict, Tuple

from fullconv.lib.network.norm_spec import FIXED, FIXED_WITHOUT_EPS, MXNET_ARRAYS, TORCH_ARRAYS, ArrayNames, NormSpec


@dataclass(frozen=True)
class ResNetNames:
    """What one family of published files calls the layers, so that they load by name.

    block: prefix of a block's layers, made from {stage} (2 to 5), {layer} (1 to 4), {index} (0, 1, ...) and {letter}
    (a, b, c or a, b1, b2). convs, norms: of the shortcut and of the three convolutions, made from {block}. total: the
    block's sum. offsets, deformed: in place of a deformable convolution {conv}, the one that finds its offsets and
    itself. arrays: last words of the arrays of a normalisation.
    """

    stem_conv: str
    stem_norm: str
    stem_pool: str
    block: str
    convs: Tuple[str, str, str, str]
    norms: Tuple[str, str, str, str]
    total: str
    offsets: str
    deformed: str
    arrays: ArrayNames


CAFFE_NAMES = ResNetNames(
    stem_conv="conv1",
    stem_norm="bn_conv1",
    stem_pool="pool1",
    block="{stage}{letter}",
    convs=("res{block}_branch1", "res{block}_branch2a", "res{block}_branch2b", "res{block}_branch2c"),
    norms=("bn{block}_branch1", "bn{block}_branch2a", "bn{block}_branch2b", "bn{block}_branch2c"),
    total="res{block}",
    offsets="{conv}_offset",
    deformed="{conv}",
    arrays=MXNET_ARRAYS,
)
"""The original release's, which FCIS keeps: `res4b22_branch2c_weight`, `bn4b22_branch2c_gamma`."""

FCOS_NAMES = ResNetNames(
    stem_conv="backbone.body.stem.conv1",
    stem_norm="backbone.body.stem.bn1",
    stem_pool="backbone.body.stem.pool",
    block="backbone.body.layer{layer}.{index}",
    convs=("{block}.downsample.0", "{block}.conv1", "{block}.conv2", "{block}.conv3"),
    norms=("{block}.downsample.1", "{block}.bn1", "{block}.bn2", "{block}.bn3"),
    total="{block}.sum",
    offsets="{conv}.offset",
    deformed="{conv}.conv",
    arrays=TORCH_ARRAYS,
)
"""PyTorch's names in the files of FCOS, the last dot an underscore: `backbone.body.layer1.0.conv1_weight`."""


@dataclass(frozen=True)
class ResNetSpec:
    """One ResNet of bottleneck blocks; tuples of four are stages res2 to res5.

    units: blocks of each stage. stem: channels of the first convolution. outputs: channels of res2, which double with
    every stage. groups, group_width: the 3x3 convolutions of res2 have groups * group_width channels, in so many
    groups; doubled with every stage as well (ResNeXt: 32x8d, 64x4d).
    strides, dilations: of each stage; the stride is that of its first block, the dilation that of all its blocks.
    stride_in_1x1: whether the first 1x1 convolution of a block carries the stride (Caffe) or the 3x3 one (later code).
    ceil_pooling: whether the pooling rounds sizes up without padding (Caffe), or pads by 1 and rounds down.
    norm: after every convolution. deformable: 0, or version 1 or 2 of the stage's 3x3 convolutions (Dai et al., ICCV
    2017; Zhu et al., CVPR 2019). names: see ResNetNames. numbered: whether Caffe's letters after the first are
    b1, b2, ... in res3 and res4 (101 and 152 layers) or b, c, d, ...
    """

    units: Tuple[int, int, int, int]
    stem: int = 64
    outputs: int = 256
    groups: int = 1
    group_width: int = 64
    strides: Tuple[int, int, int, int] = (1, 2, 2, 2)
    dilations: Tuple[int, int, int, int] = (1, 1, 1, 1)
    stride_in_1x1: bool = True
    ceil_pooling: bool = True
    norm: NormSpec = FIXED
    deformable: Tuple[int, int, int, int] = (0, 0, 0, 0)
    names: ResNetNames = CAFFE_NAMES
    numbered: bool = False

    def __post_init__(self) -> None:
        for field in ("units", "strides", "dilations", "deformable"):
            if len(getattr(self, field)) != 4:
                raise ValueError(f"ResNet with {field}={getattr(self, field)}: one number for each of four stages")
        unknown = set(self.deformable) - {0, 1, 2}
        if unknown:
            raise ValueError(f"ResNet with deformable={self.deformable}: 0 (not), 1 and 2 are known")


_FCOS = ResNetSpec((3, 4, 6, 3), ceil_pooling=False, norm=FIXED_WITHOUT_EPS, names=FCOS_NAMES)

RESNETS: Dict[str, ResNetSpec] = {
    "resnet_v1_50": ResNetSpec((3, 4, 6, 3)),
    "resnet_v1_101": ResNetSpec((3, 4, 23, 3), numbered=True),
    "resnet_v1_152": ResNetSpec((3, 8, 36, 3), numbered=True),
    # Ours, for the embedded data set: trained from scratch in minutes on two cores. No count of channels is below 16,
    # the block of the processor's fast convolutions.
    "resnet_v1_small": ResNetSpec((1, 2, 2, 1), stem=16, outputs=64, group_width=16),
    "R-50": _FCOS,
    "R-101": replace(_FCOS, units=(3, 4, 23, 3)),
    "R-152": replace(_FCOS, units=(3, 8, 36, 3)),
    # Ours, as resnet_v1_small is.
    "R-SMALL": replace(_FCOS, units=(1, 2, 2, 1), stem=16, outputs=64, group_width=16),
    # ResNeXt's ImageNet files were trained with the stride in the 3x3 convolution, those of with it in
    # the first 1x1: another place loads without an error and finds other features.
    "X-101-32x8d": replace(_FCOS, units=(3, 4, 23, 3), groups=32, group_width=8, stride_in_1x1=False),
    "X-101-64x4d": replace(_FCOS, units=(3, 4, 23, 3), groups=64, group_width=4, stride_in_1x1=False),
}
"""`resnet_v1_*` as Caffe and FCIS have them, `R-*` and `X-*` as FCOS has them."""


def resnet_spec(name: str, **changes: Any) -> ResNetSpec:
    """A published ResNet by name, with fields of ResNetSpec changed.

    Raises:
        ValueError: no such network; the message lists those known.
    """
    if name not in RESNETS:
        raise ValueError(f"no backbone named {name!r}; known: {', '.join(sorted(RESNETS))}")
    return replace(RESNETS[name], **changes)
