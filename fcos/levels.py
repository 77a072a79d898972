"""The levels of the pyramid, as networks and what is made of their outputs know them."""

from __future__ import annotations

STRIDES = (8, 16, 32, 64, 128)
"""Of the levels of all networks of the original, P3 to P7."""


def level_name(stride: int) -> str:
    """P3 for a stride of 8: the logarithm of a power of two is the position of its only bit."""
    return f"P{stride.bit_length() - 1}"


LEVELS = tuple(map(level_name, STRIDES))
