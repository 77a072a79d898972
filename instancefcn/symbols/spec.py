"""The numbers that the graphs are built from; `instancefcn.assembly` makes them from a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple, Union

from fullconv.lib.network.norm import NormSpec
from fullconv.lib.network.resnet_spec import ResNetSpec
from fullconv.lib.network.vgg import VGG16Spec

INSTANCEFCN, DEEPMASK = HEADS = ("instancefcn", "deepmask")
MEAN, SUM = LOSS_NORMS = ("mean", "sum")


@dataclass(frozen=True)
class WindowSpec:
    """The sliding windows of a head.

    size: cells of a mask's side. cell: pixels of the network's input that one cell of a mask is. stride: pixels by
    which neighbouring windows are apart. shift: pixels from the centre of the cell of the input that window (0, 0)
    belongs to, a square of `stride` pixels at the upper left corner, to the centre of that window.
    """

    size: int = 21
    cell: int = 8
    stride: int = 8
    shift: int = 0


@dataclass(frozen=True)
class NetworkSpec:
    """One network.

    body: the backbone, and `feature` the name of the map of it that both branches stand on. group: k, score maps have
    k x k relative positions. window: m, cells of a window's side. rule: which positions' maps the cells of a window
    come from where k does not divide m (`lib.operators.assembling`). hidden: channels of each branch's first
    convolution. norm: behind those, None for none, as published. head: one of HEADS.
    """

    body: Union[VGG16Spec, ResNetSpec]
    feature: str = "conv5_3"
    group: int = 5
    window: int = 21
    rule: str = "centre"
    hidden: int = 512
    norm: Union[NormSpec, None] = None
    head: str = INSTANCEFCN
    deepmask: Tuple[int, int, int, int] = (14, 512, 1024, 56)
    """Of the baseline: side of the map of a crop, width of the low rank and of the scores' first layer, width of their
    second layer, side of the masks."""


@dataclass(frozen=True)
class LossSpec:
    """norm: "mean" over the windows and over the cells inside the map, or "sum", as the paper prints it. weights: of
    objectness and masks."""

    norm: str = MEAN
    weights: Tuple[float, float] = (1.0, 1.0)
