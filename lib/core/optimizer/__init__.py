"""The rules by which parameters follow their gradients."""

from __future__ import annotations

from typing import Dict, Type

from fullconv.lib.core.optimizer.adam import Adam
from fullconv.lib.core.optimizer.muon import Muon
from fullconv.lib.core.optimizer.sgd import MomentumSGD, Optimizer, TorchSGD

__all__ = ["OPTIMIZERS", "Adam", "MomentumSGD", "Muon", "Optimizer", "TorchSGD"]

OPTIMIZERS: Dict[str, Type[Optimizer]] = {"sgd": MomentumSGD, "torch_sgd": TorchSGD, "adam": Adam, "muon": Muon}
"""By the name that a config gives them."""
