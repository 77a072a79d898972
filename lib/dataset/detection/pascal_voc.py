"""PASCAL VOC with instance masks, in the SDS (SBD) layout or the VOC segmentation layout.

    <devkit>/VOC<year>/ImageSets/Main/<set>.txt          one image id per line
    <devkit>/VOC<year>/img/<id>.jpg                      or JPEGImages/
    <devkit>/VOC<year>/inst/<id>.mat, cls/<id>.mat       GTinst.Segmentation, GTcls.Segmentation
                       SegmentationObject/<id>.png, SegmentationClass/<id>.png     where there is no .mat
    <devkit>/VOC<year>/classes.txt                       class names, where they are not the 20 of VOC, or
    <devkit>/VOC<year>/labelmap.txt                      names and colours, as CVAT exports them: PNGs may hold colours

Both maps are (h, w): instance ids and class ids per pixel; 0 is background, and 255 is void in maps of 8 bits. In wider
ones, for more than 254 objects or classes, 255 is an id as any other, and nothing is void. MATLAB's double, which it
takes for any numbers, counts as 8 bits while no number is above 255.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from dataclasses import dataclass

import numpy as np

from fullconv.lib.dataset.background import BACKGROUND
from fullconv.lib.dataset.colours import Palette
from fullconv.lib.dataset.detection.detection_set import DetectionSet
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image import image_size
from fullconv.lib.dataset.lossless import check_lossless
from fullconv.lib.dataset.voc_files import read_image_ids, read_labelmap, read_map, read_object_classes
from fullconv.lib.mask.instance_map import VOID, has_void, instance_ids, instance_masks, mask_boxes
from fullconv.lib.mask.mask_cache import CachedMasks, cache_path
from fullconv.lib.structures.entry import Entry


class PascalVOC(DetectionSet):
    """The images of one VOC image set, for example `SDS_train`: folder VOCSDS, list ImageSets/Main/train.txt.

    path: the devkit. root_path: mask caches go below it. masks: False leaves them out; boxes and classes come from the
    maps all the same.

    Raises DatasetError when the folder, the list or the class file is missing or wrong.
    """

    def __init__(
        self,
        image_set: str,
        path: str = "./data/VOCdevkit",
        limit: int | None = None,
        root_path: str = "./data",
        masks: bool = True,
    ) -> None:
        year, _, self.image_set = image_set.partition("_")
        if not year or not self.image_set:
            raise DatasetError(f"image_set {image_set!r}: name it <year>_<list>, as in SDS_train or 2012_trainval")
        self.data_path, self.has_masks = os.path.join(path, "VOC" + year), masks
        self.palette = read_labelmap(self.data_path)
        ids = read_image_ids(self.data_path, self.image_set)
        super().__init__(f"voc_{image_set}", [BACKGROUND, *read_object_classes(self.data_path)], ids, limit)
        self.cache_folder = os.path.join(root_path, "cache", "masks", f"voc_{year}")

    def read_entry(self, index: int) -> Entry:
        """See DetectionSet. The class of an instance is that of its pixels in the class map."""
        image_id = self.image_ids[index]
        image = self._find(image_id, "image", ("img", "JPEGImages"), (".jpg", ".jpeg", ".png"))
        size = image_size(image)
        instance_file = self._find(image_id, "instance map", ("inst", "SegmentationObject"), (".mat", ".png"))
        class_file = self._find(image_id, "class map", ("cls", "SegmentationClass"), (".mat", ".png"))
        instances = read_map(instance_file, "GTinst", size, self.palette)
        class_map = read_map(class_file, "GTcls", size, self.palette)
        classes = instance_classes(instances, class_map, self.num_classes, instance_file)
        masks = self._masks(instance_file, size, len(classes)) if self.has_masks else None
        return Entry(image, image_id, *size, mask_boxes(instance_masks(instances)), classes, masks)

    def why_no_objects(self) -> str:
        """See DetectionSet."""
        return "their instance maps hold 0, the background, and 255, void, alone: number the objects 1, 2, ..."

    def _masks(self, instance_file: str, size: tuple[int, int], count: int) -> CachedMasks:
        path = cache_path(self.cache_folder, _file_digest(instance_file))
        return CachedMasks(InstanceFile(instance_file, size, self.palette), path, (count, *size), self.store)

    def _find(self, image_id: str, what: str, folders: tuple[str, ...], endings: tuple[str, ...]) -> str:
        tried = [os.path.join(self.data_path, f, image_id + e) for f, e in itertools.product(folders, endings)]
        for path in tried:
            if os.path.isfile(path):
                return path
        for path in tried if what != "image" else ():
            check_lossless(path)
        raise DatasetError(
            f"{what} of {image_id} is missing, looked for {', '.join(tried)}: add it, or take the id out of "
            f"ImageSets/Main/{self.image_set}.txt"
        )


@dataclass(frozen=True)
class InstanceFile:
    """The masks in an instance map file, of an image of `size` (h, w)."""

    path: str
    size: tuple[int, int]
    palette: Palette | None = None

    def load(self) -> np.ndarray:
        """(n, h, w) bool, ascending ids. Raises DatasetError: the file is no longer what it was."""
        return instance_masks(read_map(self.path, "GTinst", self.size, self.palette))


def instance_classes(instances: np.ndarray, classes: np.ndarray, num_classes: int, path: str) -> np.ndarray:
    """Class (n,) int32 of every instance, ascending ids. Raises DatasetError unless it is one, and known."""
    _check_void(instances, classes, path)
    result = []
    for instance in instance_ids(instances):
        found = np.unique(classes[instances == instance])
        found = found[found != VOID] if has_void(classes) else found
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


def _check_void(instances: np.ndarray, classes: np.ndarray, path: str) -> None:
    """DatasetError where 255 means void in one of the maps and an object in the other."""
    found = np.unique(classes[instances == VOID]).tolist()
    void = has_void(instances)
    if not void and found == [VOID] and has_void(classes):
        raise DatasetError(
            f"{path}: 255 is an object in a map of {8 * instances.dtype.itemsize} bits, but its pixels are void in the "
            "class map: save the map with 8 bits, where 255 is void, or make them 0"
        )
    if void and len(found) == 1 and found[0] not in (0, VOID):
        raise DatasetError(
            f"{path}: 255 is void in a map of 8 bits, but its pixels are of class {found[0]} in the class map: number "
            "the objects of every image from 1 to 254, or save the map with 16 bits"
        )


def _file_digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
