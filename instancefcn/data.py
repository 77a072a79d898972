"""The data sets that a config names."""

from __future__ import annotations

from typing import List

from easydict import EasyDict

from fullconv.lib.dataset.detection.detection_set import DetectionSet, entries_to_train_on
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.registry import detection_set
from fullconv.lib.structures.entry import Entry


def training_set(data: EasyDict) -> DetectionSet:
    """The set that the group `dataset` of a config names with `dataset` and `image_set`.

    Raises DatasetError: it cannot be found or read, or has no masks.
    """
    return _build(data, data.image_set)


def test_set(data: EasyDict) -> DetectionSet:
    """The set to test on, `test_image_set`; see `training_set`."""
    return _build(data, data.test_image_set)


test_set.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def _build(data: EasyDict, image_set: str) -> DetectionSet:
    found = detection_set(data.dataset, image_set, data.root_path, data.dataset_path)
    if not found.has_masks:
        raise DatasetError(
            f"dataset.dataset {data.dataset}: {found.name} has boxes without masks, and InstanceFCN learns from masks: "
            "take a set with masks, or a method that needs boxes only, as FCOS"
        )
    return found


def training_entries(data: DetectionSet, empty: bool) -> List[Entry]:
    """Entries with objects, or with `empty` all. DatasetError if none has any."""
    kept = entries_to_train_on(data)
    return data.entries() if empty else kept
