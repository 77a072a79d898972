"""A convolution, its normalisation and a ReLU: what most networks are stacked from."""

from __future__ import annotations

from typing import NamedTuple

import mxnet as mx

from fullconv.lib.network.norm import TORCH_ARRAYS, NormSpec, normalize


class Unit(NamedTuple):
    """The units of one network. prefix: of the names of all layers. norm: after every convolution."""

    prefix: str
    norm: NormSpec

    def __call__(
        self,
        data: mx.sym.Symbol,
        conv: str,
        norm: str,
        channels: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        relu: bool = True,
    ) -> mx.sym.Symbol:
        """(N, channels, h, w) of data (N, C, H, W): sides are divided by the stride and rounded up.

        conv, norm: names of the two layers behind the prefix; their arrays end as PyTorch's do (`<conv>_weight`,
        `<norm>_running_mean`, ...).
        """
        pad, norm = kernel // 2, self.prefix + norm
        data = mx.sym.Convolution(
            data,
            name=self.prefix + conv,
            num_filter=channels,
            num_group=groups,
            kernel=(kernel, kernel),
            stride=(stride, stride),
            pad=(pad, pad),
            no_bias=True,
        )
        return normalize(data, self.norm, norm, channels, f"{norm}_relu" if relu else None, TORCH_ARRAYS)
