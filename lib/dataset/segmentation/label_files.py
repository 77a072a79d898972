"""Per-pixel label files: index PNGs, colour-coded PNGs with a palette file, MATLAB maps, lists of names.

A label map is (h, w) of integers as stored; what its numbers mean is the reader's business. 255 is void.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from typing import Sequence

import numpy as np
from PIL import Image

from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image import open_picture
from fullconv.lib.dataset.mat_file import MatError, read_variable
from fullconv.lib.dataset.text_files import read_lines, read_text

VOID = 255
INDEX_MODES = ("P", "L", "I;16", "I")
LOSSY_ENDINGS = (".jpg", ".jpeg", ".webp")
VOID_NAMES = ("void", "unlabelled", "unlabeled", "ignore")


@dataclass(frozen=True)
class Palette:
    """The colours of a colour-coded label: `labels[i]` (a class, or VOID) is drawn in `colours[i]` (R, G, B).

    classes: names of the classes 0, 1, ... in the file's order, void left out. path: for messages.
    """

    path: str
    classes: tuple[str, ...]
    colours: np.ndarray
    labels: np.ndarray


def read_palette(path: str) -> Palette:
    """A palette file: one `R G B name` per line (the form of CamVid's label_colors.txt), `#` starts a comment.

    Classes are numbered in the file's order; entries named void, unlabelled or ignore are label 255.
    Raises DatasetError: missing file, a line of another form, a colour or a name twice, more than 255 classes.
    """
    colours: list[tuple[int, ...]] = []
    labels: list[int] = []
    classes: list[str] = []
    for number, line in enumerate(read_text(path, "palette file").splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if not line:
            continue
        match = re.fullmatch(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,:]+(\S.*)", line)
        colour = tuple(int(v) for v in match.groups()[:3]) if match else (256,)
        if match is None or max(colour) > 255:
            raise DatasetError(f"{path}, line {number}: {line!r} is not `R G B name` with 0 to 255 each")
        name = match.group(4).strip()
        if colour in colours or name in classes:
            raise DatasetError(f"{path}, line {number}: colour {colour} or name {name!r} occurs twice: remove one")
        void = name.lower() in VOID_NAMES
        colours.append(colour)
        labels.append(VOID if void else len(classes))
        classes.extend([] if void else [name])
    if not 0 < len(classes) <= VOID:
        raise DatasetError(f"{path}: {len(classes)} classes: a palette file names 1 to {VOID}")
    return Palette(path, tuple(classes), np.array(colours, np.uint8), np.array(labels, np.uint8))


def decode_colours(image: np.ndarray, palette: Palette, path: str) -> np.ndarray:
    """(h, w, 3) uint8 R, G, B -> (h, w) uint8 labels. Raises DatasetError: a colour the palette does not list."""
    codes, known = _codes(image), _codes(palette.colours)
    order = np.argsort(known)
    place = np.searchsorted(known[order], codes).clip(max=len(known) - 1)
    found = order[place]
    wrong = known[found] != codes
    if wrong.any():
        values, counts = np.unique(codes[wrong], return_counts=True)
        worst = int(values[counts.argmax()])
        colour = (worst >> 16, worst >> 8 & 255, worst & 255)
        raise DatasetError(
            f"{path}: {wrong.sum()} pixels in {len(values)} colours are not in {palette.path}, most of them "
            f"R G B {colour}: add the colour there, and save labels without smoothing or JPEG"
        )
    return palette.labels[found]


def _codes(colours: np.ndarray) -> np.ndarray:
    wide = colours.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def open_label(path: str, size: Sequence[int]) -> Image.Image:
    """The label picture, its size compared with the image's `size` (h, w) before a pixel is decoded.

    Raises DatasetError: missing, lossy, unreadable, or of another size.
    """
    if not os.path.isfile(path):
        raise DatasetError(f"{path}: no such label: check dataset_path, or take the id out of the list")
    if path.lower().endswith(LOSSY_ENDINGS):
        raise DatasetError(f"{path}: JPEG changes the values of a label: save labels as PNG")
    try:
        image = open_picture(path)
    except Exception as error:  # PIL's readers raise many kinds on damaged files
        raise DatasetError(f"{path}: not a readable label PNG ({error}): write it again") from error
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
        if labels.ndim != 2 or not np.array_equal(labels, np.round(labels)):
            raise MatError(f"{field} is {labels.dtype} {labels.shape}, not a map of integers")
    except MatError as error:
        raise DatasetError(f"{path}: not a MATLAB v5 file with {field} ({error}): write it again") from error
    check_size(path, labels.shape, size)
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
