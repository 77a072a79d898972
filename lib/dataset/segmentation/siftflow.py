"""SIFT Flow: 33 semantic and 3 geometric classes for every image (the original's SIFTFlowSegDataLayer).

    <path>/<split>.txt                          ids without folder and ending
    <path>/Images/<E>/<id>.jpg                  E = spatial_envelope_256x256_static_8outdoorcategories
    <path>/SemanticLabels/<E>/<id>.mat          `S`, 0 void, 1 to 33
    <path>/GeoLabels/<E>/<id>.mat               `S`, -1 void, 1 to 3

Cow, desert and moon do not occur in the published test split; the scores of lib.evaluation.segmentation tell both
means, with and without absent classes.
"""

from __future__ import annotations

import os

import numpy as np

from fullconv.lib.dataset.segmentation.base import SegmentationSet
from fullconv.lib.dataset.segmentation.label_files import VOID, read_label_mat, read_list

ENVELOPE = "spatial_envelope_256x256_static_8outdoorcategories"
SEMANTIC = (
    "awning balcony bird boat bridge building bus car cow crosswalk desert door fence field grass moon mountain person"
    " plant pole river road rock sand sea sidewalk sign sky staircase streetlight sun tree window"
).split()
GEOMETRIC = ["sky", "horizontal", "vertical"]
MEANS = {"data": np.array([114.578, 115.294, 108.353], np.float32)}  # B, G, R
FOLDERS = {"sem": "SemanticLabels", "geo": "GeoLabels"}


class SIFTFlow(SegmentationSet):
    """The images of one split; tasks sem and geo.

    Raises DatasetError when the list is missing or wrong.
    """

    def __init__(self, split: str, path: str, limit: int | None = None) -> None:
        self.path = path
        ids = read_list(os.path.join(path, f"{split}.txt"))
        super().__init__(f"siftflow_{split}", ids, {"sem": SEMANTIC, "geo": GEOMETRIC}, MEANS, limit)

    def image_file(self, index: int, name: str = "data") -> str:
        return os.path.join(self.path, "Images", ENVELOPE, f"{self.image_ids[index]}.jpg")

    def label_file(self, index: int, task: str = "sem") -> str:
        self._check_name(task, FOLDERS, "task")
        return os.path.join(self.path, FOLDERS[task], ENVELOPE, f"{self.image_ids[index]}.mat")

    def _raw_label(self, path: str, task: str, size: tuple[int, int]) -> np.ndarray:
        labels = read_label_mat(path, "S", size)
        return np.where((labels == 0) | (labels == -1), VOID, labels - 1)
