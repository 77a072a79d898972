"""The levels of the pyramid, as networks and what is made of their outputs know them."""

from __future__ import annotations

STRIDES = (8, 16, 32, 64, 128)
"""Of the pyramid's levels, P3 to P7."""

LEVELS = ("P3", "P4", "P5", "P6", "P7")
