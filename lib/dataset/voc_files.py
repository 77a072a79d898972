"""The files of PASCAL VOC and SBD that sets of objects and sets of labels per pixel both read."""

from __future__ import annotations

import os

import numpy as np

from fullconv.lib.dataset.class_list import object_names
from fullconv.lib.dataset.colours import Palette, background_first, colour_ids, decode_colours, read_palette
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image import open_picture
from fullconv.lib.dataset.lossless import check_format
from fullconv.lib.dataset.mat_file import read_field
from fullconv.lib.dataset.text_files import read_lines

VOC_CLASSES = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person"
    " pottedplant sheep sofa train tvmonitor"
).split()


def read_image_ids(data_path: str, image_set: str) -> list[str]:
    """The image ids of `<data_path>/ImageSets/Main/<image_set>.txt`, the first word of each line, with / where Windows
    writes a backslash.

    Raises DatasetError: missing, empty, or an id twice.
    """
    path = os.path.join(data_path, "ImageSets", "Main", image_set + ".txt")
    ids = [line.split()[0].replace("\\", "/") for line in read_lines(path, "image list")]
    if not ids:
        raise DatasetError(f"{path}: the image list is empty: write one image id per line")
    if len(set(ids)) != len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise DatasetError(f"{path}: image id {twice} is listed twice: remove one")
    return ids


def read_labelmap(folder: str) -> Palette | None:
    """The colours of labels that CVAT exports, `<folder>/labelmap.txt`, where no classes.txt says otherwise.

    Raises DatasetError: a file that cannot be right.
    """
    path = os.path.join(folder, "labelmap.txt")
    if os.path.isfile(os.path.join(folder, "classes.txt")) or not os.path.isfile(path):
        return None
    return background_first(read_palette(path))


def read_map(path: str, field: str, size: tuple[int, int], palette: Palette | None = None) -> np.ndarray:
    """An instance or class map (h, w) of integers, from a .mat file (`<field>.Segmentation`) or a palette
    PNG. With `palette` a PNG may hold colours: of the classes in a class map, one per object in an instance map.

    Raises DatasetError: unreadable file, missing field, or a map that is not of `size` (h, w).
    """
    try:
        labels = _read_mat(path, field) if path.endswith(".mat") else _read_png(path, palette is not None)
    except DatasetError:
        raise
    except Exception as error:  # PIL raises many kinds on damaged files
        wanted = f"a MATLAB v5 file with {field}.Segmentation" if path.endswith(".mat") else "a palette PNG"
        raise DatasetError(f"{path}: not {wanted} ({error}): write it again") from error
    if labels.shape[:2] != tuple(size):
        raise DatasetError(f"{path}: the map is {labels.shape[:2]} but the image is {tuple(size)} (height, width)")
    if labels.ndim == 3:
        assert palette is not None
        return colour_ids(labels) if field == "GTinst" else decode_colours(labels, palette, path)
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


def _read_png(path: str, colours: bool) -> np.ndarray:
    """(h, w) of ids, or with `colours` also (h, w, 3) uint8 R, G, B."""
    with open_picture(path) as image:
        check_format(path, image)
        if image.mode in ("P", "L", "I;16", "I", "1"):
            labels = np.array(image)
            return labels.astype(np.uint8) if labels.dtype == bool else labels
        if not colours:
            raise ValueError(
                f"its mode is {image.mode}: colours instead of ids; CVAT's labelmap.txt beside ImageSets tells them"
            )
        return np.array(image.convert("RGB"))


def read_object_classes(folder: str) -> list[str]:
    """Names of the classes of objects: those of <folder>/classes.txt where it is (see class_list), else of CVAT's
    labelmap.txt, else VOC's 20.

    Raises DatasetError: a list that cannot be right.
    """
    path = os.path.join(folder, "classes.txt")
    palette = read_labelmap(folder)
    if palette is not None:
        return list(palette.classes[1:])
    return object_names(path) if os.path.isfile(path) else list(VOC_CLASSES)
