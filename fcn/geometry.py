"""Sizes that networks and what is made of their outputs both know."""

from __future__ import annotations

from typing import Sequence, Tuple

FIRST_STEP = 32
"""Step in pixels of the trunk's last map."""


def check_sizes(names: Sequence[str], sizes: Sequence[Tuple[int, int]], least: int) -> None:
    """Raise ValueError: one of the images called `names`, (height, width) in `sizes`, has a side below `least`."""
    for name, (height, width) in zip(names, sizes):
        if min(height, width) < least:
            raise ValueError(
                f"{name} has {height}x{width} pixels (height x width), with network.norm {least} are the least in "
                "either direction: enlarge it, or leave it out"
            )
