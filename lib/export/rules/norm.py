"""Normalisations: BatchNorm as the factors that it is in testing, and our GroupNorm with its ReLU."""

from __future__ import annotations

from typing import Tuple

import numpy as np

from fullconv.lib.export.graph import Graph, Node

# Where MXNet's own operators and ours put the axis of the channels.
DATA, GAMMA, BETA, MEAN, VARIANCE = range(5)


def factors(node: Node) -> Tuple[np.ndarray, np.ndarray]:
    """What a BatchNorm multiplies each channel by in testing, and then adds; float64."""
    if int(node.get("axis", 1)) != 1:
        raise node.error("channels are not axis 1")
    gamma = np.ones_like(node.array(MEAN)) if node.flag("fix_gamma", True) else node.array(GAMMA)
    scale = gamma / np.sqrt(node.array(VARIANCE) + float(node.get("eps", 1e-3)))
    return scale, node.array(BETA) - node.array(MEAN) * scale


def folded(conv: Node, norm: Node, graph: Graph) -> Node:
    """A convolution (deformable ones too) and the BatchNorm behind it as one convolution."""
    scale, offset = factors(norm)
    has_bias = not conv.flag("no_bias")
    weight = len(conv.inputs) - 1 - has_bias
    # float32 only when it is written.
    arrays = {
        f"{norm.name}/folded_weight": conv.array(weight) * scale.reshape(-1, 1, 1, 1),
        f"{norm.name}/folded_bias": (conv.array(weight + 1) * scale if has_bias else 0.0) + offset,
    }
    names = [graph.parameter(name, array) for name, array in arrays.items()]
    return conv._replace(inputs=(*conv.inputs[:weight], *names), attrs={**conv.attrs, "no_bias": "False"})


def batch_norm(node: Node, graph: Graph) -> str:
    """One that stands behind no convolution of its own: a factor and an offset per channel."""
    scale, offset = (graph.per_channel(f"{node.name}/{part}", a) for part, a in zip(("scale", "offset"), factors(node)))
    return graph.add("Add", graph.add("Mul", node.inputs[DATA], scale), offset, name=node.name)


def group_norm(node: Node, graph: Graph) -> str:
    """As an instance normalisation of groups in place of channels; the operator of that name has one factor for each
    group before opset 21."""
    groups, data = int(node.get("num_groups")), node.inputs[DATA]
    rows = graph.add("Reshape", data, graph.ints(0, groups, -1))
    ones, zeros = graph.floats(*[1.0] * groups, shape=(groups,)), graph.floats(*[0.0] * groups, shape=(groups,))
    eps = float(node.get("eps", 1e-5))
    rows = graph.add("InstanceNormalization", rows, ones, zeros, epsilon=eps)
    same = graph.add("Reshape", rows, graph.shape(data))
    gamma, beta = (graph.per_channel(f"{node.inputs[i]}/channels", node.array(i)) for i in (GAMMA, BETA))
    result = graph.add("Add", graph.add("Mul", same, gamma), beta, name=node.name)
    return graph.add("Relu", result, name=node.name) if node.get("act", "none") == "relu" else result


RULES = {"BatchNorm": batch_norm, "fullconv_group_norm": group_norm}
