"""Statistics for batch norms of a file that has none: measured on data, the function of the network as it was.

Files of networks whose batch norms were folded into their convolutions unfold to norms of mean 0 and variance 1, which
scale nothing. Trained with the batch's statistics, such a network is another one from the first step on, and what it
had learned is lost.
"""

from __future__ import annotations

import json
from typing import Dict, Iterable, List, Mapping, NamedTuple, Tuple

import mxnet as mx
import numpy as np

Arrays = Dict[str, mx.nd.NDArray]


class _Norm(NamedTuple):
    """A batch norm of a graph: the output it normalises, its arrays (gamma, beta, mean, variance), and eps."""

    source: str
    arrays: Tuple[str, str, str, str]
    eps: float


def unmeasured(symbol: mx.sym.Symbol, arrays: Mapping[str, mx.nd.NDArray]) -> bool:
    """Whether the batch norms that train have statistics which no data ever had: every mean 0 in all of them."""
    norms = _trained(symbol)
    return bool(norms) and not any(arrays[norm.arrays[2]].asnumpy().any() for norm in norms)


def measured(
    symbol: mx.sym.Symbol, arrays: Mapping[str, mx.nd.NDArray], batches: Iterable[Mapping[str, np.ndarray]]
) -> Arrays:
    """`arrays` with the statistics of `batches` in the batch norms that train, and factors and shifts that undo them.

    What the network computes with fixed statistics stays the same up to rounding. All norms are measured in one pass,
    each behind others that still scale by the old statistics.

    Args:
        symbol: the graph.
        arrays: its parameters and auxiliary states by name.
        batches: inputs by name; at least one.
    """
    norms = _trained(symbol)
    inner = symbol.get_internals()
    # Moments, not the maps: MXNet's fusion for processors breaks graphs that put out what a batch norm takes.
    moments = mx.sym.Group([mx.sym.moments(inner[norm.source], axes=(0, 2, 3)) for norm in norms])
    sums = [np.zeros((2, 1)) for _ in norms]
    count = 0
    for batch in batches:
        outputs = [output.asnumpy().astype(np.float64) for output in _outputs(moments, arrays, batch)]
        for index, (mean, var) in enumerate(zip(outputs[::2], outputs[1::2])):
            sums[index] = sums[index] + np.stack([mean, var + mean**2])
        count += 1
    if not count:
        raise ValueError("no batch to measure the statistics of")
    result = dict(arrays)
    for norm, (mean, squares) in zip(norms, sums):
        result.update(_refitted(norm, arrays, mean / count, squares / count))
    return result


def _refitted(norm: _Norm, arrays: Mapping[str, mx.nd.NDArray], mean: np.ndarray, squares: np.ndarray) -> Arrays:
    gamma, beta, old_mean, old_var = (arrays[name].asnumpy().astype(np.float64) for name in norm.arrays)
    var = np.maximum(squares - mean**2, 0)
    factor = gamma / np.sqrt(old_var + norm.eps)
    values = factor * np.sqrt(var + norm.eps), beta + factor * (mean - old_mean), mean, var
    return {name: mx.nd.array(value, dtype="float32") for name, value in zip(norm.arrays, values)}


def _outputs(
    outputs: mx.sym.Symbol, arrays: Mapping[str, mx.nd.NDArray], batch: Mapping[str, np.ndarray]
) -> List[mx.nd.NDArray]:
    inputs = {name: mx.nd.array(value) for name, value in batch.items()}
    wanted, known = outputs.list_arguments(), {**arrays, **inputs}
    aux = {name: arrays[name] for name in outputs.list_auxiliary_states()}
    executor = outputs.bind(mx.cpu(), {name: known[name] for name in wanted}, aux_states=aux, grad_req="null")
    return executor.forward(is_train=False)


def _trained(symbol: mx.sym.Symbol) -> List[_Norm]:
    """The batch norms of a graph that use the batch's statistics in training."""
    nodes = json.loads(symbol.tojson())["nodes"]
    norms = []
    for node in nodes:
        attributes = node.get("attrs", {})
        if node["op"] != "BatchNorm" or attributes.get("use_global_stats", "False") in ("True", "1"):
            continue
        data, *arrays = (nodes[entry[0]] for entry in node["inputs"])
        source = data["name"] if data["op"] == "null" else f"{data['name']}_output"
        gamma, beta, mean, var = (array["name"] for array in arrays)
        norms.append(_Norm(source, (gamma, beta, mean, var), float(attributes.get("eps", 1e-3))))
    return norms
