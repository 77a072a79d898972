"""What a network is trained and tested against: the label maps of a set that are its heads'."""

from __future__ import annotations

from typing import Dict, Mapping, Tuple

import numpy as np

from fullconv.fcn.symbols import FCN
from fullconv.lib.dataset.segmentation.base import SegmentationSet


def feeds(dataset: SegmentationSet, net: FCN) -> Tuple[Dict[str, str], Dict[str, str]]:
    """({network input: form of the image}, {label input: task}) of a set that serve a network.

    Raises ValueError: the set lacks a form of the image or a task the network needs, or has another class count.
    """
    # VOC's sets call their only form data, whatever the network calls its input.
    inputs = {i.name: "data" if i.kind == "color" and "data" in dataset.means else i.kind for i in net.network.inputs}
    missing = [form for form in inputs.values() if form not in dataset.means]
    missing += [head.label for head in net.heads if head.label not in dataset.tasks]
    if missing:
        raise ValueError(
            f"{dataset.name} has no {', '.join(missing)} for this network: it has images {', '.join(dataset.inputs)} "
            f"and labels {', '.join(dataset.tasks)}; choose a network for it"
        )
    for head in net.heads:
        if head.classes != len(dataset.tasks[head.label]):
            raise ValueError(
                f"the network scores {head.classes} classes of {head.label}, but {dataset.name} has "
                f"{len(dataset.tasks[head.label])}: build the network for the data's count"
            )
    return inputs, {head.label: head.label for head in net.heads}


def label_maps(dataset: SegmentationSet, index: int, labels: Mapping[str, str]) -> Dict[str, np.ndarray]:
    """(1, h, w) uint8 per label input, 255 = void. Raises DatasetError: a label that cannot be read or be right."""
    return {name: dataset.read_label(index, task)[None] for name, task in labels.items()}
