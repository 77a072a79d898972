"""Per-pixel label files: index PNGs, colour-coded PNGs with a palette file, MATLAB maps, lists of names.

A label map is (h, w) of integers as stored; what its numbers mean is the reader's business. 255 is void.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Sequence

import numpy as np
from PIL import Image

from fullconv.lib.dataset.colours import VOID as VOID  # for whoever reads labels
from fullconv.lib.dataset.colours import Palette, decode_colours
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image import open_picture
from fullconv.lib.dataset.lossless import check_format, check_lossless
from fullconv.lib.dataset.mat_file import MatError, read_variable
from fullconv.lib.dataset.text_files import read_lines

INDEX_MODES = ("P", "L", "I;16", "I", "1")


def open_label(path: str, size: Sequence[int]) -> Image.Image:
    """The label picture, its size compared with the image's `size` (h, w) before a pixel is decoded.

    Raises DatasetError: missing, lossy, unreadable, or of another size.
    """
    check_lossless(path)
    if not os.path.isfile(path):
        raise DatasetError(f"{path}: no such label: check dataset_path, or take the id out of the list")
    try:
        image = open_picture(path)
    except Exception as error:  # PIL's readers raise many kinds on damaged files
        raise DatasetError(f"{path}: not a readable label PNG ({error}): write it again") from error
    check_format(path, image)
    check_size(path, image.size[::-1], size)
    return image


def check_size(path: str, label_size: Sequence[int], size: Sequence[int]) -> None:
    """DatasetError unless the label is as large as its image, both (height, width)."""
    if tuple(label_size) != tuple(size):
        raise DatasetError(
            f"{path}: the label is {label_size[1]} x {label_size[0]} but its image is {size[1]} x {size[0]} "
            f"(width x height): bring the label to the image's size with nearest-neighbour resizing"
        )


def read_label_png(path: str, size: Sequence[int], palette: Palette | None = None) -> np.ndarray:
    """A label map (h, w) from an index PNG (palette or grey), or with `palette` from a colour-coded one.

    Raises DatasetError: as `open_label`, or colours where indices are expected and the other way round.
    """
    with open_label(path, size) as image:
        coloured = image.mode not in INDEX_MODES
        if coloured and palette is None:
            raise DatasetError(
                f"{path}: a {image.mode} picture holds colours, not class indices: give a palette file, or save "
                f"it as an index PNG (P or L)"
            )
        try:
            # A palette picture may carry the colours, too: with a palette file those count, not its indices.
            labels = np.array(image.convert("RGB") if palette is not None else image)
            labels = labels.astype(np.uint8) if labels.dtype == bool else labels  # a picture of one bit
        except Exception as error:
            raise DatasetError(f"{path}: the label is truncated or damaged ({error}): write it again") from error
    return decode_colours(labels, palette, path) if palette is not None else labels


def read_label_mat(path: str, field: str, size: Sequence[int]) -> np.ndarray:
    """The integer map (h, w) stored as variable `field` of a MATLAB v5 file.

    Raises DatasetError: missing or damaged file, no such variable, not integers, or of another size.
    """
    if not os.path.isfile(path):
        raise DatasetError(f"{path}: no such label: check dataset_path, or take the id out of the list")
    try:
        with open(path, "rb") as file:
            labels = read_variable(file.read(), field)
        check_size(path, labels.shape, size)
        if labels.ndim != 2 or not np.array_equal(labels, np.round(labels)):
            raise MatError(f"{field} is {labels.dtype} {labels.shape}, not a map of integers")
    except MatError as error:
        raise DatasetError(f"{path}: not a MATLAB v5 file with {field} ({error}): write it again") from error
    return labels.astype(np.int64)


def read_list(path: str) -> list[str]:
    """The lines of a split list, blank ones dropped, with / where Windows writes a backslash.

    DatasetError: missing, empty, or a line twice.
    """
    lines = [line.replace("\\", "/") for line in read_lines(path, "split list")]
    if not lines:
        raise DatasetError(f"{path}: the split list is empty: write one image id per line")
    if len(set(lines)) != len(lines):
        twice = next(line for line, count in Counter(lines).items() if count > 1)
        raise DatasetError(f"{path}: {twice} is listed twice: remove one")
    return lines
