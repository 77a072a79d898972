"""The data sets a config names, and the class count that follows from them."""

from __future__ import annotations

from pathlib import Path
from typing import List

from fullconv.fcis.symbols.fcis import GROUP
from fullconv.lib.dataset.detection.detection_set import DetectionSet, with_mirrored, with_objects
from fullconv.lib.dataset.registry import detection_set
from fullconv.lib.structures.entry import Entry

CLASS_UNITS = {"fcis_cls_seg_weight": ("classes", 2 * GROUP * GROUP)}
"""The array whose first axis tells a checkpoint's class count, and its channels per class (`match_params`)."""


def build_imdb(config, image_set: str) -> DetectionSet:
    """The data set `dataset.dataset` with `image_set`; its class count is checked against the config's.

    dataset.NUM_CLASSES 0 takes the data's count; another number that differs raises ValueError.
    """
    data = config.dataset
    imdb = detection_set(data.dataset, image_set, data.root_path, data.dataset_path)
    if data.NUM_CLASSES not in (0, imdb.num_classes):
        raise ValueError(
            f"dataset.NUM_CLASSES is {data.NUM_CLASSES} but {imdb.name} has {imdb.num_classes} classes with background "
            f"({', '.join(imdb.classes[:4])}, ...): set dataset.NUM_CLASSES 0 to take the data's count, and train and "
            "test on sets with one class list"
        )
    data.NUM_CLASSES = imdb.num_classes
    return imdb


def check_classes(prefix: Path, classes: List[str]) -> None:
    """Raise ValueError when `<prefix>-classes.txt`, which training leaves, names as many but other classes.

    Another number is left to the comparison of arrays, which needs no such file.
    """
    file = classes_path(prefix)
    trained = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    different = [pair for pair in zip(trained, classes) if pair[0] != pair[1]]
    if different and len(trained) == len(classes):
        raise ValueError(
            f"{file}: the network was trained on other classes than the data has: {different[0][0]!r} there is "
            f"{different[0][1]!r} here. Use the data it was trained on; if classes were only renamed, correct that file"
        )


def classes_path(prefix: Path) -> Path:
    """File beside the checkpoints with the class names, one a line, background first."""
    return prefix.with_name(f"{prefix.name}-classes.txt")


def training_roidb(imdb: DetectionSet, config) -> List[Entry]:
    """Entries with objects, mirrored copies appended (original section 5.4 and 5.1). ValueError if none is left."""
    roidb = with_mirrored(imdb.entries()) if config.TRAIN.FLIP else imdb.entries()
    kept = with_objects(roidb)
    if not kept:
        raise ValueError(
            f"{imdb.name}: none of its {len(roidb)} images has an object to train on; "
            "`python -m fullconv.lib.tools.check` lists what was found"
        )
    return kept
