"""The class names of a model that finds objects: those beside it, else a known data set's of as many classes."""

from __future__ import annotations

from typing import Dict

from fullconv.lib.dataset.detection.coco_categories import COCO_CATEGORIES
from fullconv.lib.dataset.image_files import UsageError
from fullconv.lib.dataset.voc_files import VOC_CLASSES
from fullconv.lib.experiment.class_file import Prefix, class_file, read_classes


def model_classes(prefix: Prefix, count: int) -> Dict[int, str]:
    """Category id -> name of a model's `count` classes, background apart: from `<prefix>-classes.txt`, else COCO's or
    VOC's by their number.

    Published checkpoints have no such file, and COCO's ids have gaps that no count of classes tells.
    Raises UsageError: the file names another number of classes.
    """
    file, names = class_file(prefix), read_classes(prefix)[1:]  # the first is the background
    if names:
        if len(names) != count:
            raise UsageError(
                f"{file} names {len(names)} classes besides the background, the model has {count}: correct it"
            )
    elif count == len(COCO_CATEGORIES):
        return dict(COCO_CATEGORIES)
    elif count == len(VOC_CLASSES):
        names = list(VOC_CLASSES)
    else:
        print(f"{file} is absent, so classes are numbered; write {count + 1} names there, background first")
        names = [f"class {k}" for k in range(1, count + 1)]
    return dict(enumerate(names, start=1))
