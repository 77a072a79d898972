"""NYUDv2 in the layout of Gupta et al.: colour, depth and HHA images, 40 classes (the original's NYUDSegDataLayer).

<path>/<split>.txt                      ids without the prefix; trainval is train, then val, where it has no file
<path>/data/images/img_<id>.png         colour
<path>/data/depth/img_<id>.png          depth, holes filled, one channel of 8 or 16 bits
<path>/data/hha/img_<id>.png            horizontal disparity, height, angle: in the file's channel order
<path>/segmentation/img_<id>.mat        `segmentation`, 0 void, 1 to 40
"""

from __future__ import annotations

import os

import numpy as np

from fullconv.lib.dataset.segmentation.base import SegmentationSet
from fullconv.lib.dataset.segmentation.label_files import VOID, read_label_mat, read_list

CLASSES = (
    "wall floor cabinet bed chair sofa table door window bookshelf picture counter blinds desk shelves curtain dresser"
    " pillow mirror floor-mat clothes ceiling books refrigerator television paper towel shower-curtain box whiteboard"
    " person night-stand toilet sink lamp bathtub bag other-structure other-furniture other-prop"
).split()
MEANS = {
    "color": np.array([116.190, 97.203, 92.318], np.float32),  # B, G, R
    "depth": np.array([7.844], np.float32),  # of the natural logarithm
    "hha": np.array([132.431, 94.076, 118.477], np.float32),  # in the file's order
}
FOLDERS = {"color": "images", "depth": "depth", "hha": "hha"}


class NYUD(SegmentationSet):
    """The images of one split; inputs color, depth and hha, task label.

    Raises DatasetError when the list is missing or wrong.
    """

    def __init__(self, split: str, path: str, limit: int | None = None) -> None:
        self.path = path
        super().__init__(f"nyud_{split}", self._read_ids(split), {"label": CLASSES}, MEANS, limit)

    def _read_ids(self, split: str) -> list[str]:
        file = os.path.join(self.path, f"{split}.txt")
        if split == "trainval" and not os.path.isfile(file):  # the published lists leave it out
            return self._read_ids("train") + self._read_ids("val")
        return read_list(file)

    def image_file(self, index: int, name: str = "color") -> str:
        self._check_name(name, FOLDERS, "input")
        return os.path.join(self.path, "data", FOLDERS[name], f"img_{self.image_ids[index]}.png")

    def label_file(self, index: int, task: str = "label") -> str:
        return os.path.join(self.path, "segmentation", f"img_{self.image_ids[index]}.mat")

    def _raw_label(self, path: str, task: str, size: tuple[int, int]) -> np.ndarray:
        labels = read_label_mat(path, "segmentation", size) - 1
        return np.where(labels == -1, VOID, labels)
