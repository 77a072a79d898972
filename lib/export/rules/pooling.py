"""Pooling, with MXNet's two ways to count windows, at any size of map."""

from __future__ import annotations

from typing import Any, Dict

from fullconv.lib.export.graph import Graph, Node


def pooling(node: Node, graph: Graph) -> str:
    """Maxima and means; over the whole map too."""
    kind = node.attrs.get("pool_type", "max")
    if kind not in ("max", "avg"):
        raise node.error(f"pool_type={kind}: known are max and avg")
    if node.flag("global_pool"):
        return graph.add("GlobalMaxPool" if kind == "max" else "GlobalAveragePool", node.inputs[0], name=node.name)
    kernel, stride, pad = node.pair("kernel", (1, 1)), node.pair("stride", (1, 1)), node.pair("pad", (0, 0))
    rule = node.attrs.get("pooling_convention", "valid")
    if rule not in ("valid", "full"):
        raise node.error(f"pooling_convention={rule}: known are valid and full")
    # ceil(x / s) is floor((x + s - 1) / s): padding behind the map makes the windows that rounding up makes, without
    # ceil_mode, whose meaning at the border engines do not agree on. What is padded counts neither in maxima nor means.
    behind = [s - 1 if rule == "full" else 0 for s in stride]
    data = node.inputs[0]
    shape: Dict[str, Any] = {"kernel_shape": kernel, "strides": stride}
    if kind == "max":
        return graph.add("MaxPool", data, name=node.name, pads=_pads(pad, pad, behind), **shape)
    if any(pad) and node.flag("count_include_pad", True):
        # Zeros that count, as part of the map; those behind it do not.
        data = graph.add("Pad", data, graph.ints(0, 0, *pad, 0, 0, *pad), graph.floats(0.0))
        pad = (0, 0)
    return graph.add("AveragePool", data, name=node.name, pads=_pads(pad, pad, behind), count_include_pad=0, **shape)


def _pads(before, after, more) -> tuple:
    return (*before, *(number + extra for number, extra in zip(after, more)))


RULES = {"Pooling": pooling}
