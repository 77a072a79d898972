"""The data sets a config names."""

from __future__ import annotations

from typing import Dict, Mapping

from easydict import EasyDict

from fullconv.fcn.config import words
from fullconv.lib.dataset.registry import segmentation_set
from fullconv.lib.dataset.segmentation.base import SegmentationSet
from fullconv.lib.experiment.config import ConfigError


def training_set(data: EasyDict) -> SegmentationSet:
    """The set that the group `dataset` of a config names with `dataset` and `image_set`.

    Raises DatasetError: it cannot be found or read.
    """
    return _build(data, data.dataset, data.image_set, data.dataset_path)


def test_set(data: EasyDict) -> SegmentationSet:
    """The set to test on; see `training_set`."""
    # Another data set than that of training is not looked for in the folder of that one.
    path = data.test_dataset_path or ("" if data.test_dataset else data.dataset_path)
    return _build(data, data.test_dataset or data.dataset, data.test_image_set, path)


def _build(data: EasyDict, name: str, image_set: str, path: str) -> SegmentationSet:
    try:
        void = [int(word) for word in words(data.void)]
    except ValueError:
        raise ConfigError(f"dataset.void is {data.void!r}; it holds label numbers, for example 11,12") from None
    options = {"label_path": data.label_path if name == "pascal_context" else ""}
    if name == "folder":
        options.update(palette=data.palette, void=void)
    return segmentation_set(name, image_set, data.root_path, path, **options)


def class_files(classes: Mapping[str, list]) -> Dict[str, list]:
    """Ending of the class file -> names: `<prefix>-classes.txt`, of several tasks `<prefix>-classes-<task>.txt`."""
    return {f"-{task}" if len(classes) > 1 else "": names for task, names in classes.items()}
