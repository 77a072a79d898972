"""Batch normalisation over all devices of an update: one graph that spans them.

Devices that each run a graph of their own cannot tell each other statistics in the midst of a pass. So the graph is
laid out once per device inside a single one, whose batch norms first join what the devices found. Parameters are on
the first device; MXNet copies them to the others and adds up what comes back. Peng et al., "MegDet" (CVPR 2018).
"""

from __future__ import annotations

import ast
import json
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

import mxnet as mx
import numpy as np

from fullconv.lib.core.executors import Shapes
from fullconv.lib.operators.library import load

Node = Dict[str, Any]
Batch = Dict[str, np.ndarray]
GROUP = "device{}"
"""MXNet's name for what is to be on one device."""


class JointBatch:
    """What `count` devices compute of one batch each, as one graph.

    Batch norms that train on the batch's statistics take those of all devices together, and their running averages
    PyTorch's variance, over n - 1 numbers; all else of `symbol` stays as it is. largest: shapes of its arguments that
    hold a device's batch. fills: padding value by input where devices' batches differ in size; they are padded to one
    size, as if they were one batch, so padding counts as there.

    Raises ValueError: a batch norm that cannot be divided, with what it has.
    """

    def __init__(
        self, symbol: mx.sym.Symbol, largest: Shapes, count: int, fills: Mapping[str, float] = {}
    ) -> None:  # fills are only read
        load()
        self.largest, self.count, self.fills, self.outputs = largest, count, fills, len(symbol.list_outputs())
        states = symbol.list_auxiliary_states()
        spread = _Spread(json.loads(symbol.tojson()), largest, _parameter_shapes(symbol, largest), states, count)
        graph = spread.graph()
        self.symbol = mx.sym.load_json(json.dumps(graph))

    def groups(self, contexts: Sequence[mx.Context]) -> Dict[str, mx.Context]:
        """Which part of the graph is where, for `simple_bind`; parts on processors all on the first.

        MXNet 1.9.1's copies between two of them break where oneDNN had laid out the memory they use in blocks.
        """
        first = contexts[0]
        return {GROUP.format(d): first if ctx.device_type == "cpu" else ctx for d, ctx in enumerate(contexts)}

    @property
    def shapes(self) -> Shapes:
        """Largest shapes of the graph's inputs."""
        return {_of(name, d): shape for d in range(self.count) for name, shape in self.largest.items()}

    def together(self, batches: Sequence[Mapping[str, np.ndarray]]) -> Batch:
        """The graph's inputs from one batch per device."""
        result = {}
        for name in self.largest:
            shape = tuple(map(max, zip(*(batch[name].shape for batch in batches))))
            for device, batch in enumerate(batches):
                result[_of(name, device)] = _padded(batch[name], shape, self.fills.get(name, 0.0))
        return result

    def apart(self, inputs: Mapping[str, Any], outputs: Sequence[Any]) -> List[Tuple[Dict[str, Any], List[Any]]]:
        """(inputs by the symbol's names, outputs) of every device, from those of the graph."""
        return [
            (
                {name: inputs[_of(name, device)] for name in self.largest},
                list(outputs[device * self.outputs : (device + 1) * self.outputs]),
            )
            for device in range(self.count)
        ]


def _parameter_shapes(symbol: mx.sym.Symbol, largest: Shapes) -> Shapes:
    """By name. MXNet's extensions cannot tell it the shape of an input, which BatchNorm could."""
    arguments, _, states = symbol.infer_shape(**largest)
    shapes = dict(zip(symbol.list_arguments() + symbol.list_auxiliary_states(), [*arguments, *states]))
    return {name: shape for name, shape in shapes.items() if name not in largest}


def _of(name: str, device: int) -> str:
    return f"{name}.on{device}"


def _padded(array: np.ndarray, shape: Tuple[int, ...], fill: float) -> np.ndarray:
    if array.shape == shape:
        return array
    result = np.full(shape, fill, array.dtype)
    result[tuple(map(slice, array.shape))] = array
    return result


class _Spread:
    """The graph of several devices, node by node from that of one (MXNet's json form).

    What depends on a batch is there once per device, everything else once, on the first.
    """

    def __init__(self, graph: Node, inputs: Iterable[str], shapes: Shapes, states: Sequence[str], count: int) -> None:
        self.source, self.inputs, self.shapes, self.count = graph, set(inputs), shapes, count
        self.states = set(states)
        self.nodes: List[Node] = []
        self.places: List[List[int]] = []  # of every node of the source: its numbers here, by device

    def graph(self) -> Node:
        """The graph; outputs are those of the first device, then those of the next."""
        for node in self.source["nodes"]:
            self.places.append(self._joined_norm(node) if _takes_batch(node) else self._copies(node))
        devices = range(self.count)
        heads = [self._entry(head, device) for device in devices for head in self.source["heads"]]
        arguments = [number for number, node in enumerate(self.nodes) if node["op"] == "null"]
        return {"nodes": self.nodes, "arg_nodes": arguments, "heads": heads, "attrs": self.source.get("attrs", {})}

    def _entry(self, entry: Sequence[int], device: int) -> List[int]:
        return [self.places[entry[0]][device], entry[1], 0]

    def _copies(self, node: Node) -> List[int]:
        own = node["name"] in self.inputs or any(len(set(self.places[source])) > 1 for source, *_ in node["inputs"])
        if not own:
            number = self._add(node, node["name"], 0)
            if node["op"] == "null" and node["name"] not in self.states:
                # MXNet may add up gradients on any device that uses an array, and then refuses to hand the sum to a
                # variable on another; its extensions overwrite a variable's gradient (`lib.operators.library`).
                number = self._put("_copy", f"{node['name']}_copy", [[number, 0, 0]], 0)
            return [number] * self.count
        return [self._add(node, _of(node["name"], device), device) for device in range(self.count)]

    def _add(self, node: Node, name: str, device: int) -> int:
        inputs, attrs = [self._entry(entry, device) for entry in node["inputs"]], dict(node.get("attrs", {}))
        if node["op"] == "null" and name in self.shapes:
            attrs["__shape__"] = str(self.shapes[name])
        if node["op"] == "BatchNorm" and device:
            return self._fixed_norm(name, inputs, device, attrs)
        return self._put(node["op"], name, inputs, device, attrs)

    def _put(
        self, op: str, name: str, inputs: List[List[int]], device: int, attributes: Mapping[str, str] = {}
    ) -> int:  # attributes are only read
        attrs = {**attributes, "__ctx_group__": GROUP.format(device)}
        self.nodes.append({"op": op, "name": name, "attrs": attrs, "inputs": inputs})
        return len(self.nodes) - 1

    def _fixed_norm(self, name: str, inputs: List[List[int]], device: int, attrs: Mapping[str, str]) -> int:
        """A norm by the statistics of a file on a device that does not have them: MXNet moves no states."""
        data, gamma, beta, *states = inputs
        rows = [
            self._put("Reshape", f"{name}_{word}", [entry], 0, {"shape": "(1, -1)"})
            for word, entry in zip(("mean", "var"), states)
        ]
        sizes = {"num_args": "2", "dim": "0"}
        statistics = self._put("Concat", f"{name}_statistics", [[row, 0, 0] for row in rows], 0, sizes)
        by = [[statistics, 0, 0], gamma, beta]
        return self._put("fullconv_batch_normalize", name, [data, *by], device, {"eps": attrs.get("eps", "0.001")})

    def _joined_norm(self, node: Node) -> List[int]:
        """Moments of every device, what they make together, and by that every device's normalised map."""
        attrs, name = node.get("attrs", {}), node["name"]
        if attrs.get("axis", "1") != "1" or _flag(attrs, "fix_gamma", True) or _flag(attrs, "output_mean_var", False):
            raise ValueError(
                f"batch norm {name} with {attrs}: over several devices only axis=1, fix_gamma=False, "
                "output_mean_var=False is known"
            )
        devices = range(self.count)
        data, gamma, beta, mean, variance = node["inputs"]
        maps = [self._entry(data, device) for device in devices]
        parts = [self._put("fullconv_batch_moments", f"{name}_moments.on{d}", [maps[d]], d) for d in devices]
        sizes = {"num_args": str(self.count), "dim": "0"}
        joined = self._put("Concat", f"{name}_parts", [[part, 0, 0] for part in parts], 0, sizes)
        states = [self._entry(entry, 0) for entry in (mean, variance)]
        share = {"momentum": attrs.get("momentum", "0.9")}
        found = self._put("fullconv_batch_statistics", f"{name}_statistics", [[joined, 0, 0], *states], 0, share)
        by = [[found, 0, 0], self._entry(gamma, 0), self._entry(beta, 0)]
        eps = {"eps": attrs.get("eps", "0.001")}
        return [self._put("fullconv_batch_normalize", _of(name, d), [maps[d], *by], d, eps) for d in devices]


def _takes_batch(node: Node) -> bool:
    """Whether it is a batch norm that trains on the batch's statistics."""
    return node["op"] == "BatchNorm" and not _flag(node.get("attrs", {}), "use_global_stats", False)


def _flag(attrs: Mapping[str, str], key: str, otherwise: bool) -> bool:
    return bool(ast.literal_eval(attrs[key])) if key in attrs else otherwise
