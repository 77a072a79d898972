"""FCIS from an exported file: nothing here needs MXNet."""

from __future__ import annotations

from typing import Dict, Tuple

from fullconv.fcis.head import Heads, HeadSpec
from fullconv.fcis.preprocess import InputSpec
from fullconv.fcis.tester import Detector, ResultSpec
from fullconv.lib.engines.network import Choice, open_model
from fullconv.lib.export.metadata import MetadataError, describe

NAME = "fcis"
REMEDY = "python -m fullconv.fcis.export"


def load(path: str, choice: Choice) -> Tuple[Detector, Dict[int, str]]:
    """The detector in a file, and its class names by category id.

    Raises FormatError, MetadataError, EngineError: no such file, or no engine for it.
    """
    about = describe(path, NAME, REMEDY)
    images, results = about.spec("input", InputSpec), about.spec("results", ResultSpec)
    head, names = about.spec("head", HeadSpec), about.categories("classes")
    if len(names) != head.num_classes - 1:
        raise MetadataError(f"{path}: fullconv.classes has {len(names)} names, fullconv.head {head.num_classes - 1}")
    detector = Detector(Heads(open_model(path, choice), head), images, results)
    return detector, names
