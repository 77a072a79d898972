"""The files of PASCAL VOC and SBD that sets of objects and sets of labels per pixel both read."""

from __future__ import annotations

import os

import numpy as np

from fullconv.lib.dataset.class_list import object_names
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image import open_picture
from fullconv.lib.dataset.mat_file import read_field

VOC_CLASSES = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person"
    " pottedplant sheep sofa train tvmonitor"
).split()


def read_map(path: str, field: str, size: tuple[int, int]) -> np.ndarray:
    """An instance or class map (h, w) of integers, from a .mat file (`<field>.Segmentation`) or a palette
    PNG.

    Raises DatasetError: unreadable file, missing field, or a map that is not of `size` (h, w).
    """
    try:
        labels = _read_mat(path, field) if path.endswith(".mat") else _read_png(path)
    except Exception as error:  # PIL raises many kinds on damaged files
        wanted = f"a MATLAB v5 file with {field}.Segmentation" if path.endswith(".mat") else "a palette PNG"
        raise DatasetError(f"{path}: not {wanted} ({error}): write it again") from error
    if labels.shape != tuple(size):
        raise DatasetError(f"{path}: the map is {labels.shape} but the image is {tuple(size)} (height, width)")
    return labels


def _read_mat(path: str, field: str) -> np.ndarray:
    with open(path, "rb") as file:
        labels = read_field(file.read(), field, "Segmentation")
    if labels.dtype.kind not in "ui":
        if labels.dtype.kind != "f" or not np.array_equal(labels, np.floor(labels)):
            raise ValueError(f"Segmentation holds {labels.dtype}, not integers")
        # Written without a type, numbers say themselves how wide they are: in 8 bits 255 is void.
        narrow = labels.size and 0 <= labels.min() <= labels.max() <= 255
        labels = labels.astype(np.uint8 if narrow else np.int64)
    return labels


def _read_png(path: str) -> np.ndarray:
    with open_picture(path) as image:
        if image.mode not in ("P", "L", "I;16", "I"):
            raise ValueError(f"its mode is {image.mode}: colours instead of ids")
        return np.array(image)


def read_object_classes(folder: str) -> list[str]:
    """Names of the classes of objects: those of <folder>/classes.txt where it is (see class_list), else VOC's 20.

    Raises DatasetError: a list that cannot be right.
    """
    path = os.path.join(folder, "classes.txt")
    return object_names(path) if os.path.isfile(path) else list(VOC_CLASSES)
