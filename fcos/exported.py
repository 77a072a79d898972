"""FCOS from an exported file: nothing here needs MXNet."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Sequence, Tuple

import numpy as np

from fullconv.fcos.levels import level_name
from fullconv.fcos.postprocess import Level, ResultSpec
from fullconv.fcos.preprocess import InputSpec
from fullconv.fcos.tester import Detector, ViewSpec
from fullconv.lib.engines.network import Choice, Network, open_model
from fullconv.lib.export.metadata import describe

NAME = "fcos"
REMEDY = "python -m fullconv.fcos.export"

KINDS = {"logits": "logits", "boxes": "bbox_reg", "centerness": "centerness"}
"""What the kinds of outputs, of `Level`, are called in a file: `P3/logits`, `P3/bbox_reg`, ..."""


def outputs(strides: Sequence[int]) -> Dict[str, str]:
    """Outputs of an exported FCOS of these levels -> outputs of `fcos.symbols.fcos.test_symbol`, in its order."""
    levels = [level_name(stride) for stride in strides]
    return {f"{level}/{KINDS[kind]}": f"{kind}_{level}" for level in levels for kind in Level._fields}


class Named:
    """An exported network of these levels whose outputs have the names of the test symbol."""

    def __init__(self, network: Network, strides: Sequence[int]) -> None:
        self.network, self.names = network, outputs(strides)

    def start(self, batch: Mapping[str, np.ndarray]) -> Any:
        """Queue a forward pass of `data` (N, 3, H, W)."""
        return self.network.start(batch)

    def finish(self, started: Any) -> Dict[str, np.ndarray]:
        """Wait for it."""
        return {self.names[name]: array for name, array in self.network.finish(started).items()}


def load(path: str, choice: Choice) -> Tuple[Detector, Dict[int, str]]:
    """The detector in a file, and its class names by category id.

    Raises FormatError, MetadataError, EngineError: no such file, or no engine for it.
    """
    about = describe(path, NAME, REMEDY)
    images, results = about.spec("input", InputSpec), about.spec("results", ResultSpec)
    more, names = about.spec("views", ViewSpec), about.categories("classes")
    detector = Detector(Named(open_model(path, choice), results.strides), images, results, more)
    return detector, names
