"""FCN networks: `build("voc-fcn8s")` and its relatives."""

from fullconv.fcn.symbols.classifier import CLASSIFIER, Classifier
from fullconv.fcn.symbols.fcn import FCN, build
from fullconv.fcn.symbols.initial import initial_params, initial_statistics, network_of
from fullconv.fcn.symbols.networks import NETWORKS, Head, Input, Network

__all__ = [
    "CLASSIFIER",
    "NETWORKS",
    "FCN",
    "Classifier",
    "Head",
    "Input",
    "Network",
    "build",
    "initial_params",
    "initial_statistics",
    "network_of",
]
