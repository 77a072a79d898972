"""The colours of label maps, and index PNGs that carry them. A label map is (h, w) of integers, colours are R, G, B."""

from __future__ import annotations

import io
from typing import Iterable, Sequence

import numpy as np
from PIL import Image

from fullconv.lib.dataset.colours import VOC_VOID
from fullconv.lib.dataset.voc_files import VOC_CLASSES
from fullconv.lib.utils import atomic


def make_palette(count: int) -> np.ndarray:
    """The colour map of PASCAL VOC, (count, 3) uint8 R, G, B.

    Bits 0, 1, 2 of a label become bit 7 of red, green, blue, the next three bits 6, and so on.
    """
    if not 0 < count <= 256:
        raise ValueError(f"a palette has 1 to 256 colours, not {count}")
    labels = np.arange(count)
    palette = np.zeros((count, 3), np.int64)
    for bit in range(3):
        for channel in range(3):
            palette[:, channel] |= (labels >> (3 * bit + channel) & 1) << (7 - bit)
    return palette.astype(np.uint8)


def moved_labels(palette: np.ndarray, used: Iterable[int], classes: Sequence[str]) -> dict[int, int]:
    """Index -> class, of the indices of a palette PNG whose colour is VOC's colour of another class.

    palette: (n, 3) R, G, B of the file; used: the indices of its pixels; classes: names, label 0 first. An editor that
    sorts or drops colours leaves such files. But a few of VOC's colours do not make a palette VOC's: it has to hold all
    colours of the classes; or, in sets of VOC's own classes, nothing but them and void's.
    """
    voc = {tuple(colour): label for label, colour in enumerate(make_palette(len(classes)).tolist())}
    colours = [tuple(colour) for colour in palette.tolist()]
    shown = {index: colours[index] for index in used if index < len(colours)}
    own_classes = list(classes[1:]) == VOC_CLASSES
    if not (set(shown.values()) <= {*voc, tuple(VOC_VOID.tolist())} if own_classes else set(voc) <= set(colours)):
        return {}
    return {index: voc[c] for index, c in shown.items() if voc.get(c, index) != index and any(c)}


def write_palette_png(path: str, labels: np.ndarray, palette: np.ndarray | None = None) -> None:
    """Write labels (h, w) as a palette PNG: the values are the class indices, the palette only shows them.

    The file is replaced as a whole. Raises ValueError: labels outside 0..255. OSError: cannot be written.
    """
    check_labels(labels, 256)
    picture = Image.fromarray(np.ascontiguousarray(labels, np.uint8), "P")
    colours = np.zeros((256, 3), np.uint8)
    given = make_palette(256) if palette is None else palette
    colours[: len(given)] = given
    picture.putpalette(colours.ravel().tolist())
    data = io.BytesIO()
    picture.save(data, format="PNG")
    atomic.write(path, lambda file: file.write(data.getvalue()))


def check_labels(labels: np.ndarray, colours: int) -> None:
    """ValueError unless labels are (h, w) integers from 0 to colours - 1."""
    if labels.ndim != 2 or labels.dtype.kind not in "ui":
        raise ValueError(f"labels must be (h, w) integers, these are {labels.shape} {labels.dtype}")
    if labels.size and not 0 <= labels.min() <= labels.max() < colours:
        raise ValueError(f"labels {labels.min()} to {labels.max()} do not fit a palette of {colours} colours")
