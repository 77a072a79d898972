"""What a backbone is to the networks built on it: named maps that say their stride and their channels.

A head asks a map for its numbers instead of knowing which network it stands on, so any backbone fits under any head.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Protocol

import mxnet as mx


class FeatureMap(NamedTuple):
    """One map of a backbone.

    symbol: (N, channels, h, w). stride: pixels of the input by which the map's neighbouring pixels are apart: an input
    that is `stride` pixels longer has a map that is one pixel longer, whatever the padding.
    """

    symbol: mx.sym.Symbol
    stride: int
    channels: int


class Backbone(Protocol):
    """Anything that turns images into feature maps; a pyramid on top of a backbone is one, too."""

    def features(self, data: mx.sym.Symbol) -> Dict[str, FeatureMap]:
        """Maps by name, finest first, of images (N, 3, H, W)."""
        ...
