"""An MXNet network and its parameters as one ONNX model."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Set, Tuple

import mxnet as mx
import numpy as np

from fullconv.lib.export import onnx_format
from fullconv.lib.export.errors import ExportError
from fullconv.lib.export.graph import Graph, Node
from fullconv.lib.export.onnx_format import Dim, Part, Value
from fullconv.lib.export.rules import RULES
from fullconv.lib.export.rules.norm import folded

FOLDABLE = ("Convolution", "fullconv_deformable_conv")
SIZES = ((64, 96), (160, 224))
"""Heights and widths to infer shapes at: lengths that differ between them follow from the image. Multiples of 32."""


class Exportable(NamedTuple):
    """What a method hands over.

    symbol: the network, its first axis the batch. inputs: channels by name of each input (N, channels, H, W).
    outputs: what each output of the symbol is called in the file, in order. metadata: texts by key.
    """

    symbol: mx.sym.Symbol
    params: Mapping[str, Any]
    inputs: Mapping[str, int]
    outputs: Sequence[str]
    metadata: Mapping[str, str]


def onnx_model(network: Exportable, name: str, version: str) -> List[Part]:
    """The bytes of an ONNX file, in parts, for `onnx_format.write`, or joined for an engine.

    The batch, the height and the width are open. name: of the graph. version: of the producer.
    Raises ExportError: an operator, or an attribute of one, that has no counterpart; or a parameter is missing.
    """
    if len(network.outputs) != len(network.symbol.list_outputs()):
        raise ExportError(f"{name}: {len(network.outputs)} names for {len(network.symbol.list_outputs())} outputs")
    graph = _Converter(network).graph
    inputs = [Value(key, ("N", channels, "H", "W")) for key, channels in network.inputs.items()]
    tensors = [part for key, array in graph.arrays.items() for part in onnx_format.encode_tensor(key, array)]
    shapes = _output_shapes(network)
    outputs = [Value(key, shape) for key, shape in zip(network.outputs, shapes)]
    return onnx_format.encode_model(name, version, graph.nodes, tensors, inputs, outputs, network.metadata)


class _Converter:
    """One way through the symbol, in MXNet's own order."""

    def __init__(self, network: Exportable) -> None:
        params = {name: _as_numpy(array) for name, array in network.params.items() if name not in network.inputs}
        self.graph, self.network = Graph(params), network
        bad = [name for name, array in params.items() if not np.isfinite(array).all()]
        if bad:
            raise ExportError(f"{', '.join(bad[:5])}: NaN or infinite values, of {len(bad)} arrays in all")
        described = json.loads(network.symbol.tojson())
        self.nodes: List[Dict[str, Any]] = described["nodes"]
        heads = [(head[0], head[1]) for head in described["heads"]]
        self.folds = folds(self.nodes, {index for index, _ in heads})
        self.values: Dict[Tuple[int, int], str] = {}
        self._refuse_unknown()
        for index, raw in enumerate(self.nodes):
            self._convert(index, raw)
        for place, wanted in zip(heads, network.outputs):
            self.graph.rename(self.values[place], wanted)

    def _refuse_unknown(self) -> None:
        unknown = {raw["op"]: raw["name"] for raw in self.nodes if raw["op"] != "null" and raw["op"] not in RULES}
        if unknown:
            listed = ", ".join(f"{op} (layer {name!r})" for op, name in sorted(unknown.items()))
            raise ExportError(f"no counterpart in ONNX is known for {listed}: end the network before, or write a rule")

    def _convert(self, index: int, raw: Mapping[str, Any]) -> None:
        if raw["op"] == "null":
            self.values[index, 0] = self._known(raw["name"])
            return
        node = self._node(raw)
        if index in self.folds:
            # The convolution waits for the normalisation behind it, which then is both.
            return
        source = raw["inputs"][0][0]
        if self.folds.get(source) == index:
            node = folded(self._node(self.nodes[source]), node, self.graph)
        made = RULES[node.op](node, self.graph)
        for number, value in enumerate([made] if isinstance(made, str) else made):
            self.values[index, number] = value

    def _node(self, raw: Mapping[str, Any]) -> Node:
        inputs = tuple(self.values.get((source, number), "") for source, number, *_ in raw["inputs"])
        return Node(raw["op"], raw["name"], raw.get("attrs") or {}, inputs, self.graph.parameters)

    def _known(self, name: str) -> str:
        """A variable's name, if it is an input or there is a parameter for it."""
        if name not in self.network.inputs and name not in self.graph.parameters:
            raise ExportError(f"the parameters have no {name}, which the network needs")
        return name


def _as_numpy(array: Any) -> np.ndarray:
    return array.asnumpy() if isinstance(array, mx.nd.NDArray) else np.asarray(array)


def folds(nodes: Sequence[Mapping[str, Any]], heads: Set[int]) -> Dict[int, int]:
    """Convolution -> the BatchNorm that alone uses it, by their places in a symbol's json. heads: its outputs."""
    uses = Counter(source for raw in nodes for source, *_ in raw["inputs"])
    found = {}
    for index, raw in enumerate(nodes):
        source = raw["inputs"][0][0] if raw["op"] == "BatchNorm" else -1
        if source >= 0 and nodes[source]["op"] in FOLDABLE and uses[source] == 1 and source not in heads:
            found[source] = index
    return found


def _output_shapes(network: Exportable) -> List[Tuple[Dim, ...]]:
    """What is known of the outputs' shapes: numbers, and names of lengths that follow from the image."""
    shapes = [
        network.symbol.infer_shape(**{name: (1, channels, *size) for name, channels in network.inputs.items()})[1]
        for size in SIZES
    ]
    found: List[Tuple[Dim, ...]] = []
    for name, one, other in zip(network.outputs, *shapes):
        dims: List[Dim] = ["N"]
        dims += [a if a == b else f"{name}/axis{axis}" for axis, (a, b) in enumerate(zip(one[1:], other[1:]), 1)]
        found.append(tuple(dims))
    return found
