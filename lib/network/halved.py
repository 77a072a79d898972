"""Pooling that halves a map."""

from __future__ import annotations

import mxnet as mx


def halved(data: mx.sym.Symbol, pool_type: str, kernel: int = 2, name: str = "") -> mx.sym.Symbol:
    """(N, C, h, w) of data (N, C, H, W): sides are halved and rounded up, as those of a convolution with padding.

    Windows of `kernel` (2 or 3) pixels begin with every other one, the first included. Where the map ends within one,
    its edge is repeated, so a window of 2 pixels has the maximum or mean of what is there, one of 3 the maximum.
    """
    more = kernel - 1
    longer = mx.sym.Pad(data, mode="edge", pad_width=(0, 0, 0, 0, 0, more, 0, more))
    return mx.sym.Pooling(longer, kernel=(kernel, kernel), stride=(2, 2), pool_type=pool_type, name=name or None)
