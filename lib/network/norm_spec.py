"""What distinguishes one normalisation from another, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

KINDS = ("fixed", "batch", "group")


class ArrayNames(NamedTuple):
    """Last words of the four arrays' names, behind the layer's name and an underscore."""

    gamma: str
    beta: str
    moving_mean: str
    moving_var: str


MXNET_ARRAYS = ArrayNames("gamma", "beta", "moving_mean", "moving_var")
TORCH_ARRAYS = ArrayNames("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class NormSpec:
    """One normalisation, each with a factor and an offset per channel.

    kind: "fixed" scales by the statistics of the pretrained file, in training and test, as fine-tuned detectors do.
    "batch" is BatchNorm (Ioffe and Szegedy, ICML 2015): the batch's statistics in training, running averages in test.
    "group" is GroupNorm (Wu and He, ECCV 2018): each image by itself, in training and test.
    eps: added to the variance. momentum: share of the running averages that a batch leaves; kind "batch" only.
    group_size, groups: channels of a group, or number of groups; one of them for kind "group", 0 otherwise.
    """

    kind: str = "fixed"
    eps: float = 1e-5
    momentum: float = 0.9
    group_size: int = 0
    groups: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"normalisation {self.kind!r}: known are {', '.join(KINDS)}")
        if sum(number > 0 for number in (self.group_size, self.groups)) != (self.kind == "group"):
            raise ValueError(
                f"normalisation {self.kind!r} with group_size={self.group_size} and groups={self.groups}: "
                "kind 'group' takes one of them above 0, the others none"
            )

    @property
    def trained(self) -> bool:
        """Whether it fits activations without a pretrained file."""
        return self.kind != "fixed"

    def groups_of(self, channels: int) -> int:
        """Number of groups that so many channels make; fewer channels than a group are one."""
        return self.groups or max(1, channels // self.group_size)


FIXED = NormSpec()
"""BatchNorm of MXNet's and Caffe's pretrained files."""

FIXED_WITHOUT_EPS = NormSpec(eps=0.0)
"""The same of Detectron's lineage, which divides by the root of the variance as it is.

MXNet's operator takes 0 with fixed statistics: only cuDNN's path, which it leaves to the batch's, has a least eps.
"""


def norm_of(trained: bool, group_size: int) -> NormSpec:
    """The normalisation of a config: network.BN_TRAINED and network.GN_CHANNELS (0: BatchNorm).

    Trained BatchNorm wants several images per device: with one or two, what was learned does not fit the averages.
    They run over about 100 batches, as MXNet's default of about 10 would leave the averages themselves too noisy.
    """
    if group_size:
        return NormSpec("group", group_size=group_size)
    return NormSpec("batch", momentum=0.99) if trained else FIXED
