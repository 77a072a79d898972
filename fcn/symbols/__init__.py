"""FCN networks: `build("voc-fcn8s")` and its relatives."""

from fcn.symbols.fcn import FCN, build
from fcn.symbols.initial import initial_params, network_of
from fcn.symbols.networks import NETWORKS, Head, Input, Network

__all__ = ["FCN", "NETWORKS", "Head", "Input", "Network", "build", "initial_params", "network_of"]
