"""The numbers that the FCIS graphs are built from; `fcis.config` makes them from a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

from fullconv.lib.network.resnet_spec import ResNetSpec

FourNumbers = Tuple[float, float, float, float]
FourStages = Tuple[int, int, int, int]

GROUP = 7
"""Position-sensitive grid: 7x7 parts (paper section 3.2)."""

LAYOUTS: Dict[int, Tuple[FourStages, FourStages]] = {16: ((1, 2, 2, 1), (1, 1, 1, 2)), 8: ((1, 2, 1, 1), (1, 1, 2, 2))}
"""Stride of the last two maps -> strides and dilations of res2 to res5; 16 is the published layout."""


@dataclass(frozen=True)
class NetworkSpec:
    """What training and test share.

    num_classes: with the background. num_reg_classes: classes with boxes of their own; 2 (background, object) regress
    all objects alike. mask_size: side of masks. scales, ratios: of the anchors, scales times 16 pixels.
    fast_hidden: whether the layer in front of the score maps learns three times as fast.
    """

    backbone: ResNetSpec
    num_classes: int
    num_reg_classes: int = 2
    mask_size: int = 21
    scales: Tuple[float, ...] = (8.0, 16.0, 32.0)
    ratios: Tuple[float, ...] = (0.5, 1.0, 2.0)
    fast_hidden: bool = False

    @property
    def num_anchors(self) -> int:
        """Anchors of one place."""
        return len(self.scales) * len(self.ratios)


@dataclass(frozen=True)
class BoxNormalization:
    """What box deltas are less, and divided by, where the network predicts them."""

    means: FourNumbers = (0.0, 0.0, 0.0, 0.0)
    stds: FourNumbers = (0.1, 0.1, 0.2, 0.2)


@dataclass(frozen=True)
class ProposalSpec:
    """Which anchors become rois: boxes before and after suppression, its IoU, the least side in pixels.

    builtin: by the rule of MXNet's own operator, the original's CXX_PROPOSAL true; see `fcis.symbols.heads.propose`.
    """

    pre_nms: int
    post_nms: int
    threshold: float = 0.7
    min_size: float = 16
    builtin: bool = False


@dataclass(frozen=True)
class SamplingSpec:
    """Which rois are learned from, and their targets; the fields are keys of TRAIN, see `fcis.config`.

    rois: per image; -1 takes all. normalize: whether box targets are normalised.
    """

    rois: int = 128
    fg_fraction: float = 0.25
    fg_thresh: float = 0.5
    bg_thresh_hi: float = 0.5
    bg_thresh_lo: float = 0.0
    binary_thresh: float = 0.4
    bbox_weights: FourNumbers = (1.0, 1.0, 1.0, 1.0)
    normalize: bool = False
    gap_select_from_all: bool = True
    ignore_gap: bool = False


@dataclass(frozen=True)
class LossSpec:
    """weights: of class, mask and box loss, the order the original uses them in. rpn_anchors: sampled per image.

    kept_rois: rois per image that count, which divide the losses; with `hard_examples` those of largest loss.
    """

    weights: Tuple[float, float, float] = (1.0, 10.0, 1.0)
    rpn_anchors: int = 256
    kept_rois: int = 128
    hard_examples: bool = False


@dataclass(frozen=True)
class TrainSpec:
    """images: per device."""

    images: int = 1
    proposals: ProposalSpec = ProposalSpec(12000, 2000)
    sampling: SamplingSpec = SamplingSpec()
    boxes: BoxNormalization = BoxNormalization()
    losses: LossSpec = LossSpec()


@dataclass(frozen=True)
class TestSpec:
    """rounds: 2 runs the heads again on the boxes that the first round found. fused: heads as one operator."""

    images: int = 1
    proposals: ProposalSpec = ProposalSpec(6000, 300)
    boxes: BoxNormalization = BoxNormalization()
    rounds: int = 1
    fused: bool = True
