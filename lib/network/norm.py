"""How a convolution's output is scaled before its ReLU: the one place where networks get their normalisation."""

from __future__ import annotations

from typing import Dict, Mapping, Optional

import mxnet as mx

from fullconv.lib.network.norm_spec import (
    FIXED,
    FIXED_WITHOUT_EPS,
    MXNET_ARRAYS,
    TORCH_ARRAYS,
    ArrayNames,
    NormSpec,
    norm_of,
)
from fullconv.lib.operators.group_norm import group_norm

__all__ = [
    "FIXED",
    "FIXED_WITHOUT_EPS",
    "MXNET_ARRAYS",
    "TORCH_ARRAYS",
    "ArrayNames",
    "NormSpec",
    "norm_of",
    "normalize",
]


def normalize(
    data: mx.sym.Symbol,
    spec: NormSpec,
    name: str,
    channels: int,
    relu: Optional[str] = None,
    arrays: ArrayNames = MXNET_ARRAYS,
    variables: Optional[Mapping[str, mx.sym.Symbol]] = None,
) -> mx.sym.Symbol:
    """Normalised data (N, channels, h, w), then a ReLU unless `relu`, its name, is None.

    name: of the layer; its arrays (channels,) are `<name>_gamma` and so on, see `arrays`. variables: arrays with
    attributes of their own (multipliers of the learning rate, say), by the names of MXNET_ARRAYS.
    """
    inputs = variables or _variables(name, channels, arrays)
    if spec.kind == "group":
        # One operator does the ReLU as well, in the same pass over the map.
        act, factors = "none" if relu is None else "relu", (inputs.get("gamma"), inputs.get("beta"))
        return group_norm(data, spec.groups_of(channels), channels, *factors, eps=spec.eps, act=act, name=name)
    data = mx.sym.BatchNorm(
        data,
        **inputs,
        name=name,
        use_global_stats=spec.kind == "fixed",
        # MXNet's default would leave the factor at 1.
        fix_gamma=False,
        eps=spec.eps,
        momentum=spec.momentum,
    )
    return data if relu is None else mx.sym.Activation(data, act_type="relu", name=relu)


def _variables(name: str, channels: int, arrays: ArrayNames) -> Dict[str, mx.sym.Symbol]:
    """The arrays by MXNet's names; none where they are called so, because the operators then make them themselves."""
    if arrays == MXNET_ARRAYS:
        return {}
    return {key: mx.sym.Variable(f"{name}_{word}", shape=(channels,)) for key, word in arrays._asdict().items()}
