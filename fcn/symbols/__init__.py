"""FCN networks: `build("voc-fcn8s")` and its relatives."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from fullconv.fcn.symbols.classifier import CLASSIFIER, Classifier
from fullconv.fcn.symbols.fcn import FCN, build
from fullconv.fcn.symbols.initial import initial_params, initial_statistics, network_of
from fullconv.fcn.symbols.networks import NETWORKS, Head, Input, Network

__all__ = [
    "CLASSIFIER",
    "NETWORKS",
    "FCN",
    "Classifier",
    "Head",
    "Input",
    "Network",
    "build",
    "build_for",
    "initial_params",
    "initial_statistics",
    "network_of",
]


def build_for(name: str, tasks: Mapping[str, Sequence[str]], **options: Any) -> FCN:
    """The network called `name` (the classifier too) with as many classes per label map as `tasks` has names for it."""
    if name == CLASSIFIER:
        return Classifier(len(tasks.get("label", "?")), options.get("width", 1.0))
    counts = [len(tasks.get(head.label, ())) or head.classes for head in build(name).heads]
    return build(name, counts, **options)
