"""The data sets a config names, and the class count that follows from them."""

from __future__ import annotations

from typing import Dict, List, Sequence

from easydict import EasyDict

from fullconv.lib.dataset.detection.detection_set import DetectionSet, with_objects
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.registry import detection_set
from fullconv.lib.structures.entry import Entry

COCO_SETS: Dict[str, str] = {
    "coco_2014_train": "train2014",
    "coco_2014_val": "val2014",
    "coco_2014_minival": "minival2014",
    "coco_2014_valminusminival": "valminusminival2014",
    "coco_2017_train": "train2017",
    "coco_2017_val": "val2017",
}
"""The original's names of COCO's image sets."""


def training_set(config: EasyDict) -> DetectionSet:
    """The sets that DATASETS.TRAIN names, put together.

    Raises DatasetError: one cannot be found or read. ValueError: none named, or another class count than
    MODEL.FCOS.NUM_CLASSES says.
    """
    return _build(config, "TRAIN")


def test_set(config: EasyDict) -> DetectionSet:
    """The set to test on, DATASETS.TEST; see `training_set`."""
    return _build(config, "TEST")


test_set.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def image_sets(names: Sequence[str]) -> str:
    """The names as one, `train+val`; the original's are translated."""
    return "+".join(COCO_SETS.get(name, name) for name in names)


def _build(config: EasyDict, key: str) -> DetectionSet:
    names, data = config.DATASETS[key], config.DATA
    if not names:
        raise ValueError(f"DATASETS.{key} names no image set; set it, for example to ['train']")
    # FCOS needs no masks: a COCO file without `segmentation` will do.
    found = detection_set(data.dataset or "coco", image_sets(names), data.root_path, data.dataset_path, masks=False)
    wanted = config.MODEL.FCOS.NUM_CLASSES
    if wanted not in (0, found.num_classes):
        raise ValueError(
            f"MODEL.FCOS.NUM_CLASSES is {wanted} but {found.name} has {found.num_classes} classes with background "
            f"({', '.join(found.classes[:4])}, ...): set MODEL.FCOS.NUM_CLASSES 0 to take the data's count, and train "
            "and test on sets with one class list"
        )
    return found


def training_entries(data: DetectionSet, empty: bool = False) -> List[Entry]:
    """Entries with an object wider and higher than a pixel (original), or all. DatasetError if none has any."""
    entries = data.entries()
    kept = [entry for entry in with_objects(entries) if _has_extent(entry)]
    if kept and empty:
        return entries
    if not kept:
        flat = "no box is wider and higher than a pixel (COCO's bbox is x, y, width, height)"
        why = flat if with_objects(entries) else data.why_no_objects()
        raise DatasetError(
            f"{data.name}: none of its {len(entries)} images has an object to train on: {why}. "
            "`python -m fullconv.lib.tools.check --boxes` lists what was found"
        )
    return kept


def _has_extent(entry: Entry) -> bool:
    sides = entry.boxes[:, 2:] - entry.boxes[:, :2] + 1
    return bool((sides > 1).all(axis=1).any())
