"""FCN from an exported file: nothing here needs MXNet."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

from fullconv.fcn.preprocess import input_tensor
from fullconv.fcn.tester import Form, Segmenter
from fullconv.lib.engines.network import Choice, open_model
from fullconv.lib.export.metadata import MetadataError, describe

NAME = "fcn"
REMEDY = "python -m fullconv.fcn.export"


class ImageInput(NamedTuple):
    """How an image becomes a network's only input.

    kind: see `fcn.symbols.networks.Input`. means: of the channels in the network's order. double: subtracted in
    float64, as the originals' VOC layers do.
    """

    name: str
    kind: str
    means: Tuple[float, ...]
    double: bool

    def tensors(self, image: np.ndarray) -> Dict[str, np.ndarray]:
        """The input (1, C, h, w) of a BGR image (h, w, 3) uint8."""
        # The original reads HHA in the file's order; every picture here arrives as B, G, R.
        pixels = np.ascontiguousarray(image[:, :, ::-1]) if self.kind == "hha" else image
        mean = np.array(self.means, np.float64 if self.double else np.float32)
        return {self.name: input_tensor(self.kind, pixels, mean)}


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def load(path: str, choice: Choice, tile: int = 0) -> Tuple[Segmenter, ImageInput, Dict[str, List[str]]]:
    """The network in a file, its input, and the class names of each label map.

    Raises FormatError, MetadataError, EngineError: no such file, or no engine for it. ValueError: `tile` is too small.
    """
    about = describe(path, NAME, REMEDY)
    images, form, classes = about.spec("input", ImageInput), about.spec("network", Form), about.value("classes")
    if not isinstance(classes, dict) or set(classes) != set(form.labels) or not all(map(_are_names, classes.values())):
        raise MetadataError(f"{path}: fullconv.classes must have names for {', '.join(form.labels)}: {classes!r}")
    return Segmenter(open_model(path, choice), form, tile), images, classes
