"""Convolutions of all kinds, and fully connected layers. Weights lie alike in both formats."""

from __future__ import annotations

from typing import Any, Dict

from fullconv.lib.export.graph import Graph, Node


def _geometry(node: Node) -> Dict[str, Any]:
    pad = node.pair("pad", (0, 0))
    return {
        "kernel_shape": node.pair("kernel", (1, 1)),
        "strides": node.pair("stride", (1, 1)),
        "dilations": node.pair("dilate", (1, 1)),
        # In front and behind, for both axes.
        "pads": (*pad, *pad),
        "group": int(node.get("num_group", 1)),
    }


def convolution(node: Node, graph: Graph) -> str:
    """Dilated and grouped ones too."""
    return graph.add("Conv", *node.inputs, name=node.name, **_geometry(node))


def deconvolution(node: Node, graph: Graph) -> str:
    """With groups, dilation and `adj`, pixels that the output is longer by."""
    if node.get("target_shape"):
        raise node.error("target_shape stands for a size that is not known before: give pad and adj")
    adj = node.pair("adj", (0, 0))
    return graph.add("ConvTranspose", *node.inputs, name=node.name, output_padding=adj, **_geometry(node))


def deformable(node: Node, graph: Graph) -> str:
    """Of both versions: offsets are dy, dx of each tap in either format, and masks are behind their sigmoid."""
    data, offset, *rest = node.inputs
    mask = [rest.pop(0)] if node.flag("modulated") else []
    weight, *bias = rest
    if mask and not bias:
        # The mask comes behind the bias, and not every engine can leave an input out in between.
        filters = int(node.get("num_filter"))
        bias = [graph.floats(*[0.0] * filters, shape=(filters,))]
    groups = int(node.get("num_deformable_group", 1))
    inputs = data, weight, offset, *bias, *mask
    return graph.add("DeformConv", *inputs, name=node.name, offset_group=groups, **_geometry(node))


def fully_connected(node: Node, graph: Graph) -> str:
    """Of everything behind the first axis, or with flatten=False of the last."""
    weight, *bias = node.inputs[1:]
    if node.flag("flatten", True):
        flat = graph.add("Flatten", node.inputs[0], axis=1)
        return graph.add("Gemm", flat, weight, *bias, name=node.name, transB=1)
    product = graph.add("MatMul", node.inputs[0], graph.add("Transpose", weight, perm=(1, 0)), name=node.name)
    return graph.add("Add", product, *bias, name=node.name) if bias else product


RULES = {
    "Convolution": convolution,
    "Deconvolution": deconvolution,
    "FullyConnected": fully_connected,
    "fullconv_deformable_conv": deformable,
}
