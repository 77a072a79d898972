"""The data sets and networks a config names."""

from __future__ import annotations

from typing import Dict, Mapping

import numpy as np

from fullconv.fcn.config import words
from fullconv.fcn.preprocess import DEMO_MEAN
from fullconv.fcn.symbols import CLASSIFIER, FCN, Classifier, build
from fullconv.lib.dataset.registry import segmentation_set
from fullconv.lib.dataset.segmentation import nyud, pascal_context, siftflow
from fullconv.lib.dataset.segmentation.base import SegmentationSet
from fullconv.lib.experiment.config import ConfigError


def training_set(config) -> SegmentationSet:
    """The set that `dataset.dataset` and `dataset.image_set` name. Raises DatasetError: it cannot be found or read."""
    data = config.dataset
    return _build(data, data.dataset, data.image_set, data.dataset_path)


def test_set(config) -> SegmentationSet:
    """The set to test on; see `training_set`."""
    data = config.dataset
    path = data.test_dataset_path or ("" if data.test_dataset else data.dataset_path)
    return _build(data, data.test_dataset or data.dataset, data.test_image_set, path)


def _build(data, name: str, image_set: str, path: str) -> SegmentationSet:
    try:
        void = [int(word) for word in words(data.void)]
    except ValueError:
        raise ConfigError(f"dataset.void is {data.void!r}; it holds label numbers, for example 11,12") from None
    options = {"label_path": data.label_path if name == "pascal_context" else ""}
    if name == "folder":
        options.update(palette=data.palette, void=void)
    return segmentation_set(name, image_set, data.root_path, path, **options)


def network_for(config, dataset: SegmentationSet) -> FCN:
    """The network `symbol` at the config's width, with as many classes as the data has."""
    name, network = config.symbol, config.network
    if name == CLASSIFIER:
        return Classifier(len(dataset.tasks.get("label", "?")), network.width)
    published = build(name)
    counts = [len(dataset.tasks.get(head.label, ())) or head.classes for head in published.heads]
    return build(
        name,
        counts,
        width=network.width,
        hidden=network.hidden,
        dropout=network.dropout,
        norm=network.norm,
        learn_upsampling=network.learn_upsampling,
    )


def class_files(classes: Mapping[str, list]) -> Dict[str, list]:
    """Ending of the class file -> names: `<prefix>-classes.txt`, of several tasks `<prefix>-classes-<task>.txt`."""
    return {f"-{task}" if len(classes) > 1 else "": names for task, names in classes.items()}


def demo_mean(dataset: str, kind: str) -> np.ndarray:
    """What to subtract from an image of `kind` for a network trained on the set called `dataset`.

    Sets with the mean of ImageNet get it with all its digits, as the original's demo has it.
    """
    own = {"nyud": nyud.MEANS, "siftflow": siftflow.MEANS, "pascal_context": pascal_context.MEANS}.get(dataset, {})
    return own.get(kind, own.get("data", DEMO_MEAN))
