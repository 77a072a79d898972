"""A network computed by an engine other than MXNet although its parameters come from a checkpoint."""

from __future__ import annotations

from fullconv.lib.engines.network import Choice, Network, open_model
from fullconv.lib.export.metadata import VERSION
from fullconv.lib.export.network import Exportable, onnx_model


def exported_in(network: Exportable, choice: Choice) -> Network:
    """Export it into memory and open it. Raises ExportError, EngineError: see `onnx_model`, `open_model`."""
    return open_model(b"".join(onnx_model(network, "network", VERSION)), choice)
