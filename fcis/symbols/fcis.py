"""The FCIS network: backbone, region proposals, position-sensitive inside/outside score maps.

Li et al., "Fully Convolutional Instance-aware Semantic Segmentation" (CVPR 2017). Node and parameter names are
the original's, so its files load by name and code that asks for `rois_output` or `seg_pred_output` finds them.
"""

from __future__ import annotations

import mxnet as mx

from fullconv.fcis.symbols import inference, training
from fullconv.fcis.symbols.losses import LABEL_NAMES
from fullconv.fcis.symbols.maps import GROUP, NEW_LAYERS, Maps, feature_shape, network_maps
from fullconv.fcis.symbols.spec import NetworkSpec, TestSpec, TrainSpec
from fullconv.fcis.symbols.training import DATA_NAMES

__all__ = ["DATA_NAMES", "FCIS", "GROUP", "LABEL_NAMES", "NEW_LAYERS", "Maps", "feature_shape"]


class FCIS:
    """One network, in training and in test; every shape follows from the numbers of its specification."""

    def __init__(self, network: NetworkSpec) -> None:
        self.network = network

    def maps(self) -> Maps:
        """What the convolutions compute, from images `data` (N, 3, H, W)."""
        return network_maps(self.network)[0]

    def train_symbol(self, train: TrainSpec) -> mx.sym.Symbol:
        """The losses and what metrics need; see `fcis.symbols.training.train_symbol`."""
        return training.train_symbol(self.network, train)

    def test_symbol(self, test: TestSpec) -> mx.sym.Symbol:
        """Rois, class probabilities, boxes and masks; see `fcis.symbols.inference.test_symbol`."""
        return inference.test_symbol(self.network, test)

    def maps_symbol(self) -> mx.sym.Symbol:
        """What is exported; see `fcis.symbols.inference.maps_symbol`."""
        return inference.maps_symbol(self.network)

    def proposal_symbol(self, test: TestSpec) -> mx.sym.Symbol:
        """The RPN's rois alone; see `fcis.symbols.inference.proposal_symbol`."""
        return inference.proposal_symbol(self.network, test)
