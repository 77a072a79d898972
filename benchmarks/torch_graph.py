"""A symbol's operators by PyTorch, to compare with: eager, channels_last, fp32 or bf16.

Only what trained networks are made of in testing, normalisations folded into convolutions as an engine would do it.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Mapping, Optional

import numpy as np
import torch
from torch.nn import functional as F

from fullconv.lib.export.graph import Graph, Node
from fullconv.lib.export.network import Exportable, folds
from fullconv.lib.export.rules.norm import folded

Tensor = torch.Tensor


def compiled(
    network: Exportable, feed: Mapping[str, np.ndarray], half: bool
) -> Optional[Callable[[], Dict[str, np.ndarray]]]:
    """A call that gives the outputs by name; None, with a line, where an operator is not known here."""
    walk = _Walk(network, torch.bfloat16 if half else torch.float32)
    unknown = sorted({node.op for node in walk.steps.values()} - set(OPERATORS))
    if unknown:
        print(f"  pytorch{' bf16' if half else ''}: left out, no counterpart here of {', '.join(unknown)}")
        return None
    return lambda: walk(feed)


class _Walk:
    """Nodes in order; parameters are tensors already."""

    def __init__(self, network: Exportable, dtype: torch.dtype) -> None:
        self.network, self.dtype = network, dtype
        graph = Graph({name: np.asarray(array) for name, array in network.params.items()})
        described = json.loads(network.symbol.tojson())
        nodes = described["nodes"]
        self.heads = [head[0] for head in described["heads"]]
        fold = folds(nodes, set(self.heads))
        names = {index: raw["name"] if raw["op"] == "null" else f"#{index}" for index, raw in enumerate(nodes)}

        def node_of(raw: Mapping[str, Any]) -> Node:
            inputs = tuple(names[source] for source, *_ in raw["inputs"])
            return Node(raw["op"], raw["name"], raw.get("attrs") or {}, inputs, graph.parameters)

        self.steps: Dict[str, Node] = {}
        for index, raw in enumerate(nodes):
            if raw["op"] == "null" or index in fold:
                continue
            node = node_of(raw)
            source = raw["inputs"][0][0]
            if fold.get(source) == index:
                node = folded(node_of(nodes[source]), node, graph)
            if raw["op"] in ("_copy", "identity"):
                names[index] = node.inputs[0]
                continue
            self.steps[names[index]] = node
        self.outputs = [names[head] for head in self.heads]
        arrays = {**graph.parameters, **graph.arrays}
        self.arrays = {name: self._tensor(np.array(array, np.float32)) for name, array in arrays.items()}

    def _tensor(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(array).to(self.dtype)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor

    @torch.inference_mode()
    def __call__(self, feed: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        values: Dict[str, Any] = {**self.arrays, **{name: self._tensor(array) for name, array in feed.items()}}
        for name, node in self.steps.items():
            values[name] = OPERATORS[node.op](node, *(values[value] for value in node.inputs))
        return {name: values[value].float().numpy() for name, value in zip(self.network.outputs, self.outputs)}


def _shape(node: Node) -> Dict[str, Any]:
    return {
        "stride": node.pair("stride", (1, 1)),
        "padding": node.pair("pad", (0, 0)),
        "dilation": node.pair("dilate", (1, 1)),
        "groups": int(node.get("num_group", 1)),
    }


def _pool(node: Node, x: Tensor) -> Tensor:
    ceil = node.attrs.get("pooling_convention", "valid") == "full"
    shape = node.pair("kernel", (1, 1)), node.pair("stride", (1, 1)), node.pair("pad", (0, 0))
    pool = F.max_pool2d if node.attrs.get("pool_type", "max") == "max" else F.avg_pool2d
    return pool(x, *shape, ceil_mode=ceil)


def _group_norm(node: Node, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    y = F.group_norm(x, int(node.get("num_groups")), gamma, beta, float(node.get("eps", 1e-5)))
    return y.relu() if node.get("act", "none") == "relu" else y


def _crop(node: Node, x: Tensor, like: Tensor) -> Tensor:
    top, left = node.pair("offset", (0, 0))
    return x[:, :, top : top + like.shape[2], left : left + like.shape[3]]


def _reshape(node: Node, x: Tensor) -> Tensor:
    wanted = node.get("shape")
    return x.reshape([x.shape[place] if size == 0 else size for place, size in enumerate(wanted)])


OPERATORS: Dict[str, Callable[..., Tensor]] = {
    "Convolution": lambda node, x, w, b=None: F.conv2d(x, w, b, **_shape(node)),
    "Deconvolution": lambda node, x, w, b=None: F.conv_transpose2d(
        x, w, b, output_padding=node.pair("adj", (0, 0)), **_shape(node)
    ),
    "Pooling": _pool,
    "fullconv_group_norm": _group_norm,
    "Activation": lambda node, x: getattr(torch, node.attrs["act_type"])(x),
    "relu": lambda node, x: x.relu(),
    "sigmoid": lambda node, x: x.sigmoid(),
    "exp": lambda node, x: x.exp(),
    "clip": lambda node, x: x.clamp(float(node.get("a_min")), float(node.get("a_max"))),
    "elemwise_add": lambda node, x, y: x + y,
    "broadcast_mul": lambda node, x, y: x * y,
    "_mul_scalar": lambda node, x: x * float(node.get("scalar")),
    "Crop": _crop,
    "slice_like": lambda node, x, like: x[:, :, : like.shape[2], : like.shape[3]],
    "UpSampling": lambda node, x: F.interpolate(x, scale_factor=int(node.get("scale")), mode="nearest"),
    "SoftmaxActivation": lambda node, x: torch.softmax(x, 1),
    "Reshape": _reshape,
}
