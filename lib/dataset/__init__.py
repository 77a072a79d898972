"""Data sets: readers of the originals' layouts and of data of the user's own, and the embedded one."""

from __future__ import annotations

import os

from fullconv.lib.dataset.detection.imdb import IMDB, DatasetError, append_flipped, filter_roidb, join

__all__ = ["IMDB", "DatasetError", "NAMES", "append_flipped", "build", "filter_roidb"]

NAMES = ("PascalVOC", "coco", "shapes")


def build(name: str, image_set: str, root_path: str = "./data", dataset_path: str = "", result_path: str = "") -> IMDB:
    """The data set `name` of the config key dataset.dataset, restricted to `image_set`.

    image_set: a set of that data set (SDS_train, train2014, train), several joined by `+`, each optionally
    cut to its first n images by `[:n]`. root_path: where caches go. dataset_path: the data; default
    root_path/VOCdevkit, root_path/coco or root_path/shapes.

    Raises DatasetError: unknown name, or a set that cannot be found or read.
    """
    readers = {"PascalVOC": _pascal_voc, "coco": _coco, "shapes": _shapes}
    if name not in readers:
        raise DatasetError(f"dataset.dataset is {name!r}: known data sets are {', '.join(NAMES)}")
    return join(image_set, lambda part, limit: readers[name](part, limit, root_path, dataset_path, result_path))


def _pascal_voc(image_set: str, limit: int | None, root: str, path: str, result: str) -> IMDB:
    from fullconv.lib.dataset.detection.pascal_voc import PascalVOC

    return PascalVOC(image_set, root, path or os.path.join(root, "VOCdevkit"), result, limit)


def _coco(image_set: str, limit: int | None, root: str, path: str, result: str) -> IMDB:
    from fullconv.lib.dataset.detection.coco import COCO

    return COCO(image_set, root, path or os.path.join(root, "coco"), result, limit)


def _shapes(image_set: str, limit: int | None, root: str, path: str, result: str) -> IMDB:
    from fullconv.lib.dataset.shapes import writer as shapes

    return shapes.build(image_set, root, path or os.path.join(root, "shapes"), result, limit)
