"""PASCAL-Context: the 59 most frequent of 459 classes, everything else background (PASCALContextSegDataLayer).

    <path>/VOC2010/ImageSets/Main/<split>.txt, <path>/VOC2010/JPEGImages/<id>.jpg       PASCAL VOC 2010
    <label_path>/trainval/<id>.mat                                                      `LabelMap`, 1 to 459
    <label_path>/labels.txt, <label_path>/59_labels.txt                                 `number: name` per line

Both name lists come with the data set. Background is an ordinary class here: it counts in loss and scores, and
no pixel is void (original's behaviour).
"""

from __future__ import annotations

import os
import re

import numpy as np

from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.segmentation.base import SegmentationSet
from fullconv.lib.dataset.segmentation.label_files import read_label_mat, read_list

MEANS = {"data": np.array([104.007, 116.669, 122.679], np.float32)}  # B, G, R
RENAMED = {
    "diningtable": "table",
    "bedcloth": "bedclothes",
    "clothes": "cloth",
}  # name in the 59 list -> in the 459


class PASCALContext(SegmentationSet):
    """The images of one VOC 2010 list, 60 classes.

    label_path: folder of the annotations; default the folder pascal-context beside `path`. mapping: (459 + 1,)
    uint8, original label -> class. Raises DatasetError when a list is missing or wrong.
    """

    def __init__(self, split: str, path: str, label_path: str = "", limit: int | None = None) -> None:
        self.voc = os.path.join(path, "VOC2010")
        self.label_path = label_path or os.path.join(os.path.dirname(os.path.abspath(path)), "pascal-context")
        ids = read_list(os.path.join(self.voc, "ImageSets", "Main", f"{split}.txt"))
        classes = read_numbered(os.path.join(self.label_path, "59_labels.txt"))
        self.mapping = class_mapping(read_numbered(os.path.join(self.label_path, "labels.txt")), classes)
        tasks = {"label": ["background", *classes.values()]}
        super().__init__(f"pascal_context_{split}", ids, tasks, MEANS, limit)

    def image_file(self, index: int, name: str = "data") -> str:
        return os.path.join(self.voc, "JPEGImages", f"{self.image_ids[index]}.jpg")

    def label_file(self, index: int, task: str = "label") -> str:
        return os.path.join(self.label_path, "trainval", f"{self.image_ids[index]}.mat")

    def _raw_label(self, path: str, task: str, size: tuple[int, int]) -> np.ndarray:
        labels = read_label_mat(path, "LabelMap", size)
        if labels.min() < 0 or labels.max() >= len(self.mapping):
            raise DatasetError(
                f"{path}: labels run from {labels.min()} to {labels.max()}, but labels.txt in {self.label_path} ends "
                f"at {len(self.mapping) - 1}: use the lists that came with the annotations"
            )
        return self.mapping[labels]


def read_numbered(path: str) -> dict[int, str]:
    """`number: name` lines, spaces in names removed. DatasetError: another form, or numbers that are not 1, 2, ..."""
    names: dict[int, str] = {}
    for line in read_list(path):
        match = re.fullmatch(r"(\d+)\s*:\s*(.+)", line)
        if match is None or int(match.group(1)) != len(names) + 1:
            raise DatasetError(f"{path}: {line!r} should be `{len(names) + 1}: name`: use the data set's own file")
        names[len(names) + 1] = match.group(2).replace(" ", "")
    return names


def class_mapping(all_names: dict[int, str], classes: dict[int, str]) -> np.ndarray:
    """Table (max number + 1,) uint8: a label of `all_names` -> its class in `classes`, or 0.

    Raises DatasetError: a class that `all_names` does not have.
    """
    numbers = {name: number for number, name in all_names.items()}
    table = np.zeros(max(all_names) + 1, np.uint8)
    for label, name in classes.items():
        wanted = RENAMED.get(name, name)
        if wanted not in numbers:
            raise DatasetError(
                f"59_labels.txt: class {name!r} ({wanted!r}) is not in labels.txt: use the data set's own lists"
            )
        table[numbers[wanted]] = label
    return table
