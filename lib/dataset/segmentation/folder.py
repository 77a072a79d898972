"""Segmentation data of the user's own, and CamVid, which has the same form.

    <path>/<split>.txt               `image label` per line, relative to <path> (the form of the SegNet tutorial's
                                     CamVid), or one name per line for images/<name>.* and labels/<name>.png
    <path>/images/<split>, labels/<split>      where there is no list: pictures and labels of the same name; for split
                                               `all` also images/ and labels/ themselves
    <path>/classes.txt               class names from label 0 on, one per line
    <path>/palette.txt               or label_colors.txt: `R G B name` per line, when labels are colour-coded PNGs; or
                                     CVAT's labelmap.txt: `name:R,G,B::`

Index PNGs hold class numbers, 255 is void; further labels to ignore are given as `void`.
"""

from __future__ import annotations

import os
from typing import Sequence

import numpy as np

from fullconv.lib.dataset.class_list import label_names
from fullconv.lib.dataset.colours import Palette, read_palette
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image_sets import unique_ids
from fullconv.lib.dataset.segmentation.base import ILSVRC_MEAN, SegmentationSet
from fullconv.lib.dataset.segmentation.label_files import (
    VOID,
    read_label_png,
    read_list,
)

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
PALETTE_FILES = ("palette.txt", "label_colors.txt", "labelmap.txt")


class FolderSegmentation(SegmentationSet):
    """The images of one split of a folder.

    palette: palette file; default one of PALETTE_FILES in <path>, where there is no classes.txt. void: label
    values to treat as 255.

    Raises DatasetError: no list and no such folders, an image without a label, no class names.
    """

    kind = "folder"

    def __init__(
        self, split: str, path: str, palette: str = "", void: Sequence[int] = (), limit: int | None = None
    ) -> None:
        self.path, self.void = path, tuple(void)
        pairs = self._read_pairs(split)
        self.palette = self._read_palette(palette)
        classes = self.palette.classes if self.palette else label_names(os.path.join(path, "classes.txt"))
        self.images, self.labels = zip(*pairs)
        ids, means = unique_ids([_stem(file) for file in self.images]), {"data": ILSVRC_MEAN}
        super().__init__(f"{self.kind}_{split}", ids, {"label": classes}, means, limit)

    def _read_palette(self, given: str) -> Palette | None:
        if not given and not os.path.isfile(os.path.join(self.path, "classes.txt")):
            found = [os.path.join(self.path, name) for name in PALETTE_FILES]
            given = next((file for file in found if os.path.isfile(file)), "")
        return read_palette(given) if given else None

    def _read_pairs(self, split: str) -> list[tuple[str, str]]:
        """(image, label) paths of the split."""
        file = os.path.join(self.path, f"{split}.txt")
        if os.path.isfile(file):
            return [self._pair(line, file) for line in read_list(file)]
        for folder in [split] + ([""] if split == "all" else []):
            images, labels = (os.path.join(self.path, kind, folder) for kind in ("images", "labels"))
            if os.path.isdir(images):
                names = sorted(n for n in os.listdir(images) if n.lower().endswith(IMAGE_ENDINGS))
                if names:
                    return [(os.path.join(images, n), os.path.join(labels, _stem(n) + ".png")) for n in names]
        raise DatasetError(
            f"{self.path}: split {split!r} has neither a list {split}.txt nor pictures in images/{split} and labels/"
            f"{split}: write either, or check dataset_path"
        )

    def _pair(self, line: str, file: str) -> tuple[str, str]:
        words = line.split("\t") if "\t" in line else line.split()
        if len(words) == 2:
            return self._resolve(words[0]), self._resolve(words[1])
        if len(words) > 2:
            raise DatasetError(f"{file}: {line!r} is not `image label`: names with spaces need a tab between them")
        base = os.path.join(self.path, "images", line)
        image = next((base + end for end in IMAGE_ENDINGS if os.path.isfile(base + end)), base + ".jpg")
        return image, os.path.join(self.path, "labels", f"{line}.png")

    def _resolve(self, name: str) -> str:
        """A listed path; published CamVid lists name a folder of their author's, of which the last part is kept."""
        if os.path.isabs(name) and not os.path.isfile(name):
            name = os.path.join(*name.split(os.sep)[-2:])
        return os.path.join(self.path, name)

    def image_file(self, index: int, name: str = "data") -> str:
        return self.images[index]

    def label_file(self, index: int, task: str = "label") -> str:
        return self.labels[index]

    def _raw_label(self, path: str, task: str, size: tuple[int, int]) -> np.ndarray:
        labels = read_label_png(path, size, self.palette)
        return np.where(np.isin(labels, self.void), VOID, labels) if self.void else labels


class CamVid(FolderSegmentation):
    """CamVid with 11 classes as the SegNet tutorial prepared it: grey PNGs, 11 is unlabelled."""

    kind = "camvid"

    def __init__(self, split: str, path: str, limit: int | None = None) -> None:
        super().__init__(split, path, void=(11,), limit=limit)


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]
