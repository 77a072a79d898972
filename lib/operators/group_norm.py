"""Group normalisation (Wu & He, ECCV 2018): statistics of one image's groups of channels, so any batch size will do.

Unlike batch normalisation it computes the same in training and in testing and keeps no running statistics.
"""

from __future__ import annotations

from typing import Optional

import mxnet as mx

from fullconv.lib.operators.library import Array, invoke

__all__ = ["group_norm"]


def group_norm(
    data: Array,
    num_groups: int,
    channels: Optional[int] = None,
    gamma: Optional[Array] = None,
    beta: Optional[Array] = None,
    eps: float = 1e-5,
    act: str = "none",
    name: Optional[str] = None,
) -> Array:
    """(N, C, ...) (data - mean) / sqrt(variance + eps) * gamma + beta, float32 like data.

    data (N, C, ...): one mean and one biased variance per image and per group of C / num_groups consecutive channels,
    over all positions, as in torch.nn.GroupNorm; num_groups = C is instance normalisation. gamma, beta (C,): on symbols
    they may be left out: they become the variables `<name>_gamma` and `<name>_beta`, whose shape comes from `channels`
    (C), as MXNet 1.9.1 cannot hand an extension an unknown shape to fill in. act: "none", or "relu" for a ReLU behind
    it. All three inputs have gradients.

    A NaN stays in its group. Raises ValueError for a missing parameter, MXNetError, naming operator and value, when
    num_groups does not divide C or a shape does not fit.
    """
    if gamma is None or beta is None:
        if not isinstance(data, mx.sym.Symbol) or name is None or channels is None:
            raise ValueError(
                f"group_norm (name={name!r}, channels={channels!r}): give gamma and beta, or on a symbol name and "
                "channels, from which they are made"
            )
        gamma = mx.sym.Variable(f"{name}_gamma", shape=(channels,)) if gamma is None else gamma
        beta = mx.sym.Variable(f"{name}_beta", shape=(channels,)) if beta is None else beta
    return invoke("fullconv_group_norm", data, gamma, beta, name=name, num_groups=num_groups, eps=eps, act=act)
