"""The data sets a config names, and the class count that follows from them."""

from __future__ import annotations

from typing import List

from easydict import EasyDict

from fullconv.lib.dataset.detection.detection_set import DetectionSet, entries_to_train_on, with_mirrored
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.registry import detection_set
from fullconv.lib.structures.entry import Entry


def training_set(data: EasyDict) -> DetectionSet:
    """The set that the group `dataset` of a config names with `dataset` and `image_set`.

    Raises DatasetError: it cannot be found or read, or has no masks. ValueError: another class count than
    `NUM_CLASSES` says.
    """
    return _build(data, data.image_set)


def test_set(data: EasyDict) -> DetectionSet:
    """The set to test on, `test_image_set`; see `training_set`."""
    return _build(data, data.test_image_set)


def _build(data: EasyDict, image_set: str) -> DetectionSet:
    found = detection_set(data.dataset, image_set, data.root_path, data.dataset_path)
    if not found.has_masks:
        raise DatasetError(
            f"dataset.dataset {data.dataset}: {found.name} has boxes without masks, and FCIS learns from masks: take a "
            "set with masks, or a method that needs boxes only, as FCOS"
        )
    if data.NUM_CLASSES not in (0, found.num_classes):
        raise ValueError(
            f"dataset.NUM_CLASSES is {data.NUM_CLASSES} but {found.name} has {found.num_classes} classes with "
            f"background ({', '.join(found.classes[:4])}, ...): set dataset.NUM_CLASSES 0 to take the data's count, "
            "and train and test on sets with one class list"
        )
    return found


def training_entries(data: DetectionSet, flip: bool) -> List[Entry]:
    """Entries with objects, mirrored copies behind them (original section 5.4 and 5.1). ValueError if none is left."""
    kept = entries_to_train_on(data)
    return with_mirrored(kept) if flip else kept
