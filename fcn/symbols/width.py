"""The width of a network from the channels of its convolutions: what `network.width` was when they were made.

One convolution does not tell. 6 channels of 64 come from any width between 0.086 and 0.102, and a wider convolution
makes 44 to 52 channels of 512 of these. Every convolution leaves an interval; all together leave a short one.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Dict, Mapping

from fullconv.fcn.symbols.fcn import FCN
from fullconv.fcn.symbols.networks import Network
from fullconv.lib.network.caffe.alexnet import GROUPS

MULTIPLES = {"vgg16": 1, "alexnet": GROUPS}
"""Channels of a trunk's convolutions are multiples of this, at every width."""


def trunk_channels(network: Network, width: float) -> Dict[str, int]:
    """Channels of every convolution of the trunk(s) by layer name, fc6 and fc7 left out."""
    layers = FCN(network, width=width, hidden=1).layers
    convolutions = [row for row in layers if row.type == "Convolution" and row.name.startswith("conv")]
    return {row.name: row.options["num_output"] for row in convolutions}


def width_of(network: Network, channels: Mapping[str, int]) -> float:
    """A width that gives exactly these channels (layer name -> channels), the one with the fewest digits.

    Raises:
        ValueError: no width does; these are no channels of this network.
    """
    published, multiple = trunk_channels(network, 1.0), MULTIPLES[network.trunk]
    # Channels are `round(published * width / multiple) * multiple`, and at least one multiple.
    # From where rounding gives n: n less half a multiple. Exact numbers, as the ends are tried themselves.
    least = [Fraction(2 * n - multiple, 2 * published[name]) for name, n in channels.items() if n > multiple]
    most = [Fraction(2 * n + multiple, 2 * published[name]) for name, n in channels.items()]
    lowest, highest = max(least, default=Fraction(0)), min(most)
    middle = float(lowest + highest) / 2
    # The ends too: an interval may be a single number, where two counts are rounded halves of the same width.
    # The fewest digits first: people write 0.25, not a number from the middle of the interval.
    for width in (*(round(middle, digits) for digits in range(1, 17)), float(lowest), float(highest)):
        if width > 0 and channels.items() <= trunk_channels(network, width).items():
            return width
    found = ", ".join(f"{name} {count}" for name, count in channels.items())
    raise ValueError(f"no network.width gives these channels: {found}")
