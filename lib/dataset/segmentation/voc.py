"""PASCAL VOC, SBD and the embedded shapes as semantic segmentation sets.

    <path>/ImageSets/Segmentation/<split>.txt      one image id per line; also ImageSets/Main/ or <path>/<split>.txt
    <path>/JPEGImages/<id>.jpg                     or img/
    <path>/SegmentationClass/<id>.png              palette PNG of class indices, or
    <path>/cls/<id>.mat                            GTcls.Segmentation, as SBD has it
    <path>/SegmentationObject/<id>.png             instance ids, or inst/<id>.mat; only read for conversion
    <path>/classes.txt                             class names, where they are not the 20 of VOC, or
    <path>/labelmap.txt                            names and colours, as CVAT exports them: PNGs may then hold colours

0 is background, 255 is void. A set is read from its own layout first; where that is missing the other one serves,
so that a VOC folder with SBD's .mat files can be used as it is.
"""

from __future__ import annotations

import os
from typing import Sequence

import numpy as np

from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.lossless import check_lossless
from fullconv.lib.dataset.segmentation.base import ILSVRC_MEAN, SegmentationSet
from fullconv.lib.dataset.segmentation.label_files import open_label, read_label_png, read_list
from fullconv.lib.dataset.shapes import writer as drawn
from fullconv.lib.dataset.voc_files import read_labelmap, read_map, read_object_classes
from fullconv.lib.mask.instance_map import VOID, has_void


class VOCSegmentation(SegmentationSet):
    """The images of one list of a VOC folder (the original's VOCSegDataLayer).

    Raises DatasetError when the list or the class file is missing or wrong.
    """

    kind = "voc"
    lists: tuple[str, ...] = ("ImageSets/Segmentation", "ImageSets/Main", "")
    images: tuple[str, ...] = ("JPEGImages", "img")
    labels: tuple[tuple[str, str], ...] = (("SegmentationClass", ".png"), ("cls", ".mat"))
    instances: tuple[tuple[str, str], ...] = (("SegmentationObject", ".png"), ("inst", ".mat"))

    def __init__(self, split: str, path: str, limit: int | None = None) -> None:
        self.path = path
        lists = [os.path.join(path, folder, f"{split}.txt") for folder in self.lists]
        ids = read_list(next((file for file in lists if os.path.isfile(file)), lists[0]))
        means, self.palette = {"data": ILSVRC_MEAN}, read_labelmap(path)
        super().__init__(
            f"{self.kind}_{split}", ids, {"label": ["background", *read_object_classes(path)]}, means, limit
        )

    def image_file(self, index: int, name: str = "data") -> str:
        return self._find(index, "image", [(folder, end) for folder in self.images for end in (".jpg", ".png")])

    def label_file(self, index: int, task: str = "label") -> str:
        return self._find(index, "label", self.labels)

    def read_instances(self, index: int) -> np.ndarray:
        """(h, w) uint8 instance ids, 0 background, 255 void.

        Raises DatasetError as `read_label`, and for a map with more objects than 8 bits hold beside void.
        """
        path = self._find(index, "instance map", self.instances)
        instances = read_map(path, "GTinst", self.size(index), self.palette)
        if self.palette is not None:  # colours, which are numbers of 24 bits
            instances = np.unique(instances, return_inverse=True)[1].reshape(instances.shape)
        if not has_void(instances) and instances.size and not 0 <= instances.min() <= instances.max() < VOID:
            raise DatasetError(
                f"{path}: instance ids go from {instances.min()} to {instances.max()}: 8 bits hold 1 to 254, and 255 "
                "is void: number the objects of every image from 1"
            )
        return instances.astype(np.uint8)

    def _find(self, index: int, what: str, places: Sequence[tuple[str, str]]) -> str:
        image_id = self.image_ids[index]
        tried = [os.path.join(self.path, folder, image_id + ending) for folder, ending in places]
        for file in tried:
            if os.path.isfile(file):
                return file
        for file in tried if what != "image" else ():
            check_lossless(file)
        raise DatasetError(
            f"{what} of {image_id} is missing, looked for {', '.join(tried)}: add it, or take the id out of the list"
        )

    def _raw_label(self, path: str, task: str, size: tuple[int, int]) -> np.ndarray:
        if path.endswith(".mat"):
            return read_map(path, "GTcls", size)
        with open_label(path, size) as image:
            grey = image.mode not in ("P", "RGB", "RGBA")
        return read_label_png(path, size, None if grey else self.palette)


class SBDSegmentation(VOCSegmentation):
    """The Semantic Boundaries Dataset (the original's SBDDSegDataLayer): img/, cls/, lists in the folder itself."""

    kind = "sbd"
    lists = tuple(reversed(VOCSegmentation.lists))
    images = tuple(reversed(VOCSegmentation.images))
    labels = tuple(reversed(VOCSegmentation.labels))
    instances = tuple(reversed(VOCSegmentation.instances))


class ShapesSegmentation(VOCSegmentation):
    """The embedded set: split train, val or as in train200 another number; pictures are drawn where absent."""

    kind = "shapes"
    cues = False

    def __init__(self, split: str, path: str, limit: int | None = None) -> None:
        split, count = drawn.split_and_count(split, limit, self.kind)
        drawn.generate(path, split, count, cues=self.cues)
        super().__init__(split, os.path.join(path, "VOCshapes"), limit=count)


class TexturedShapesSegmentation(ShapesSegmentation):
    """The embedded set with a pattern for every class."""

    kind = "textured_shapes"
    cues = True
