"""Colour-coded labels: the files that say which colour is which class, and pictures read with them."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

import numpy as np

from fullconv.lib.dataset.background import is_background, is_ignored
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.text_files import read_text

VOID = 255
VOC_VOID = np.array([224, 224, 192], np.uint8)
VOID_NAMES = ("void", "unlabelled", "unlabeled", "ignore")
_PLAIN = re.compile(r"(?P<r>\d+)[\s,]+(?P<g>\d+)[\s,]+(?P<b>\d+)[\s,:]+(?P<name>\S.*)")
_CVAT = re.compile(r"(?P<name>[^:]+):\s*(?P<r>\d+)\s*,\s*(?P<g>\d+)\s*,\s*(?P<b>\d+)\s*(:.*)?")


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
    """A palette file: one `R G B name` per line (CamVid's label_colors.txt), or `name:R,G,B:parts:actions` (CVAT's
    labelmap.txt); `#` starts a comment.

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
        match = _PLAIN.fullmatch(line) or _CVAT.fullmatch(line)
        colour = tuple(int(match[key]) for key in "rgb") if match else (256,)
        if match is None or max(colour) > 255:
            raise DatasetError(
                f"{path}, line {number}: {line!r} is not `R G B name`, or `name:R,G,B::`, with 0 to 255 each"
            )
        name = match["name"].strip()
        if colour in colours or name in classes:
            raise DatasetError(f"{path}, line {number}: colour {colour} or name {name!r} occurs twice: remove one")
        void = name.lower() in VOID_NAMES or is_ignored(name)
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


def background_first(palette: Palette) -> Palette:
    """The palette with the background as label 0, for sets where that is its number; black where it is not listed."""
    place = next((i for i, name in enumerate(palette.classes) if is_background(name)), None)
    others = [name for i, name in enumerate(palette.classes) if i != place]
    if len(others) >= VOID:
        raise DatasetError(f"{palette.path}: {len(others)} classes and a background: a palette file names 255 at most")
    order = np.arange(256)
    if place is None:
        order[:VOID] += 1
    else:
        order[: place + 1] = [*range(1, place + 1), 0]
    colours, labels = palette.colours, order[palette.labels].astype(np.uint8)
    if place is None and not (colours == 0).all(axis=1).any():
        colours, labels = np.vstack([colours, np.zeros((1, 3), np.uint8)]), np.append(labels, np.uint8(0))
    return dataclasses.replace(palette, classes=("background", *others), colours=colours, labels=labels)


def colour_ids(image: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 R, G, B, a colour per object -> (h, w) int32 ids; black, and VOC's colour of void, are 0."""
    ids = _codes(image)
    return np.where(ids == _codes(VOC_VOID), 0, ids)
