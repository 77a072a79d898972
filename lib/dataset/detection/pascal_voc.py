"""PASCAL VOC with instance masks, in the SDS (SBD) layout or the VOC segmentation layout.

    <devkit>/VOC<year>/ImageSets/Main/<set>.txt          one image id per line
    <devkit>/VOC<year>/img/<id>.jpg                      or JPEGImages/
    <devkit>/VOC<year>/inst/<id>.mat, cls/<id>.mat       GTinst.Segmentation, GTcls.Segmentation
                       SegmentationObject/<id>.png, SegmentationClass/<id>.png     where there is no .mat
    <devkit>/VOC<year>/classes.txt                       class names, where they are not the 20 of VOC

Both maps are (h, w): instance ids and class ids per pixel; 0 is background and 255 is void.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from fullconv.lib.dataset.detection.imdb import BACKGROUND, IMDB, DatasetError, Entry, Roidb, make_entry
from fullconv.lib.dataset.image import image_size
from fullconv.lib.dataset.mat_file import read_field
from fullconv.lib.mask.mask_cache import cache_path, load_masks

VOC_CLASSES = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person"
    " pottedplant sheep sofa train tvmonitor"
).split()
VOID = 255


class PascalVOC(IMDB):
    """The images of one VOC image set, for example `SDS_train`: folder VOCSDS, list ImageSets/Main/train.txt.

    Raises DatasetError when the folder, the list or the class file is missing or wrong.
    """

    def __init__(
        self,
        image_set: str,
        root_path: str = "./data",
        devkit_path: str = "./data/VOCdevkit",
        result_path: str = "",
        limit: int | None = None,
    ) -> None:
        year, _, self.image_set = image_set.partition("_")
        if not year or not self.image_set:
            raise DatasetError(f"image_set {image_set!r}: name it <year>_<list>, as in SDS_train or 2012_trainval")
        self.data_path = os.path.join(devkit_path, "VOC" + year)
        ids = _read_image_ids(self.data_path, self.image_set)[:limit]
        name = f"voc_{image_set}" + (f"_first{limit}" if limit else "")
        super().__init__(name, [BACKGROUND] + _read_classes(self.data_path), ids, result_path)
        self.cache_folder = os.path.join(root_path, "cache", "masks", f"voc_{year}")

    def read_entry(self, index: int) -> Entry:
        """See IMDB. The class of an instance is that of its pixels in the class map."""
        image_id = self.image_ids[index]
        image = self._find(image_id, "image", ("img", "JPEGImages"), (".jpg", ".jpeg", ".png"))
        size = image_size(image)
        instance_file = self._find(image_id, "instance map", ("inst", "SegmentationObject"), (".mat", ".png"))
        class_file = self._find(image_id, "class map", ("cls", "SegmentationClass"), (".mat", ".png"))
        instances = read_map(instance_file, "GTinst", size)
        classes = instance_classes(instances, read_map(class_file, "GTcls", size), self.num_classes, instance_file)
        return make_entry(
            image,
            image_id,
            size,
            mask_boxes(instance_masks(instances)),
            classes,
            cache_path(self.cache_folder, _file_digest(instance_file)),
            partial(read_instance_masks, instance_file, size),
        )

    def _find(self, image_id: str, what: str, folders: tuple[str, ...], endings: tuple[str, ...]) -> str:
        tried = [os.path.join(self.data_path, f, image_id + e) for f, e in itertools.product(folders, endings)]
        for path in tried:
            if os.path.isfile(path):
                return path
        raise DatasetError(
            f"{what} of {image_id} is missing, looked for {', '.join(tried)}: add it, or take the id out of "
            f"ImageSets/Main/{self.image_set}.txt"
        )

    def evaluate_masks(
        self, all_boxes: Sequence, all_masks: Sequence, output_dir: str, binary_thresh: float = 0.4
    ) -> dict[str, float]:
        """mAP^r at mask IoU 0.5 and 0.7 with the SDS protocol (lib.evaluation.sds_mapr)."""
        from fullconv.lib.evaluation.sds_mapr import evaluate_sds

        return evaluate_sds(GroundTruth(self.roidb()), self.classes, all_boxes, all_masks, binary_thresh)

    def score_table(self, scores: dict[str, float]) -> str:
        """AP^r per class and their mean, in percent."""
        from fullconv.lib.evaluation.sds_mapr import format_table

        return format_table(scores, self.classes)


class GroundTruth(Sequence):
    """Per image a dict of masks (n, h, w) bool and classes (n,) int, loaded on demand: VOC val is 3 GB."""

    def __init__(self, roidb: Roidb) -> None:
        self._roidb = roidb

    def __len__(self) -> int:
        return len(self._roidb)

    def __getitem__(self, index: int) -> dict[str, Any]:
        entry = self._roidb[index]
        return {"masks": load_masks(entry), "classes": entry["gt_classes"]}


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
        labels = labels.astype(np.int64)
    return labels


def _read_png(path: str) -> np.ndarray:
    with Image.open(path) as image:
        if image.mode not in ("P", "L", "I;16", "I"):
            raise ValueError(f"its mode is {image.mode}: colours instead of ids")
        return np.array(image)


def instance_ids(instances: np.ndarray) -> np.ndarray:
    """Ids in an instance map, ascending, without background and void."""
    ids = np.unique(instances)
    return ids[(ids != 0) & (ids != VOID)]


def instance_masks(instances: np.ndarray) -> np.ndarray:
    """(h, w) instance map -> (n, h, w) bool, in ascending order of id."""
    return instances[None] == instance_ids(instances)[:, None, None]


def read_instance_masks(path: str, size: tuple[int, int]) -> np.ndarray:
    """Masks (n, h, w) bool of an instance map file."""
    return instance_masks(read_map(path, "GTinst", size))


def mask_boxes(masks: np.ndarray) -> np.ndarray:
    """Tight boxes (n, 4) float32 of non-empty masks (n, h, w)."""
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box[:] = columns[0], rows[0], columns[-1], rows[-1]
    return boxes


def instance_classes(instances: np.ndarray, classes: np.ndarray, num_classes: int, path: str) -> np.ndarray:
    """Class (n,) int32 of every instance, ascending ids. Raises DatasetError unless it is one, and known."""
    result = []
    for instance in instance_ids(instances):
        found = np.unique(classes[instances == instance])
        found = found[found != VOID]
        if len(found) != 1:
            raise DatasetError(
                f"{path}: the pixels of instance {instance} have classes {found.tolist()} in the class map, "
                f"but an instance has exactly one: correct either map"
            )
        if not 0 < found[0] < num_classes:
            raise DatasetError(
                f"{path}: instance {instance} has class id {found[0]}, known are 1 to {num_classes - 1}: "
                f"correct the class map, or list the class names in classes.txt beside ImageSets"
            )
        result.append(found[0])
    return np.array(result, np.int32)


def _read_image_ids(data_path: str, image_set: str) -> list[str]:
    path = os.path.join(data_path, "ImageSets", "Main", image_set + ".txt")
    if not os.path.isfile(path):
        raise DatasetError(f"{path}: no such image list: check dataset_path and image_set")
    with open(path) as file:
        ids = [line.split()[0] for line in file if line.strip()]
    if not ids:
        raise DatasetError(f"{path}: the image list is empty: write one image id per line")
    if len(set(ids)) != len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise DatasetError(f"{path}: image id {twice} is listed twice: remove one")
    return ids


def _read_classes(data_path: str) -> list[str]:
    path = os.path.join(data_path, "classes.txt")
    if not os.path.isfile(path):
        return list(VOC_CLASSES)
    with open(path) as file:
        names = [line.strip() for line in file if line.strip()]
    return names[1:] if names[:1] == [BACKGROUND] else names


def _file_digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
