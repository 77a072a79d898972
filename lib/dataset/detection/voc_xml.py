"""Boxes in PASCAL VOC's XML files, as VOC itself and most labelling tools write them.

    <path>/ImageSets/Main/<set>.txt     one image id per line
    <path>/JPEGImages/<id>.jpg          or .jpeg, .png
    <path>/Annotations/<id>.xml
    <path>/classes.txt                  class names, where they are not all that the annotations have

For VOC's own years the image set is <year>_<set>, and the folder <path>/VOC<year>.
"""

from __future__ import annotations

import math
import os
from glob import escape, glob
from typing import List, Tuple

import numpy as np

from fullconv.lib.dataset.background import BACKGROUND
from fullconv.lib.dataset.detection.detection_set import DetectionSet
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image import image_size
from fullconv.lib.dataset.voc_files import read_image_ids, read_object_classes
from fullconv.lib.dataset.xml_file import Element, read_xml
from fullconv.lib.structures.entry import Entry

ENDINGS = (".jpg", ".jpeg", ".png")
SIDES = ("xmin", "ymin", "xmax", "ymax")


class VOCXml(DetectionSet):
    """The images of one list. root_path, masks: as other sets take them; there are no masks.

    Raises DatasetError: a list, annotation or image that is missing or wrong, each named.
    """

    has_masks = False

    def __init__(
        self,
        image_set: str,
        path: str = "./data/VOCdevkit",
        limit: int | None = None,
        root_path: str = "./data",
        masks: bool = False,
    ) -> None:
        self.folder, self.list_name, of_year = _place(path, image_set)
        file = os.path.join(self.folder, "ImageSets", "Main", f"{self.list_name}.txt")
        if not os.path.isfile(file):
            raise DatasetError(f"image_set {image_set!r}: {file} does not exist: check dataset_path and the name")
        ids = read_image_ids(self.folder, self.list_name)
        super().__init__(f"voc_{image_set}", [BACKGROUND, *_classes(self.folder, of_year)], ids, limit)
        self._class_of = {name: number for number, name in enumerate(self.classes)}

    def read_entry(self, index: int) -> Entry:
        """See DetectionSet; without objects marked as difficult, which VOC neither trains on nor counts."""
        image_id = self.image_ids[index]
        image, path = self._image(image_id), _annotation(self.folder, image_id)
        size, root = image_size(image), read_xml(path)
        _check_size(root, size, path)
        objects = [found for found in root.all("object") if _text(found, "difficult") not in ("1", "true")]
        boxes = np.array([_box(found, size, path) for found in objects]).reshape(-1, 4)
        classes = np.array([self._class(found, path) for found in objects], int)
        # Boxes without area inside the image are dropped, as the original does: published sets have some.
        kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return Entry(image, image_id, *size, boxes[kept], classes[kept])

    def _image(self, image_id: str) -> str:
        tried = [os.path.join(self.folder, "JPEGImages", image_id + ending) for ending in ENDINGS]
        for path in tried:
            if os.path.isfile(path):
                return path
        raise DatasetError(
            f"image {image_id} is missing, looked for {', '.join(tried)}: add it, or take it off the list"
        )

    def _class(self, found: Element, path: str) -> int:
        name = _text(found, "name")
        if name not in self._class_of or name == BACKGROUND:
            raise DatasetError(
                f"{path}: an object of class {name!r}; known are {', '.join(self.classes[1:])}: correct it, or "
                f"{os.path.join(self.folder, 'classes.txt')}"
            )
        return self._class_of[name]


def _place(path: str, image_set: str) -> Tuple[str, str, bool]:
    """(folder, name of the list, whether it is VOC's own of a year)."""
    year, _, name = image_set.partition("_")
    own = os.path.join(path, f"VOC{year}")
    return (own, name, True) if name and os.path.isdir(own) else (path, image_set, False)


def _classes(folder: str, of_year: bool) -> List[str]:
    """VOC's for its own years, or those in classes.txt, or the names in all annotations, in their order."""
    if of_year or os.path.isfile(os.path.join(folder, "classes.txt")):
        return read_object_classes(folder)
    annotations = os.path.join(folder, "Annotations")
    # Ids may have a folder, as `city/0001`.
    files = sorted(glob(os.path.join(escape(annotations), "**", "*.xml"), recursive=True))
    names = {_text(found, "name") for file in files for found in read_xml(file).all("object")}
    return sorted(names)


def _annotation(folder: str, image_id: str) -> str:
    return os.path.join(folder, "Annotations", f"{image_id}.xml")


def _text(element: Element, path: str) -> str:
    found = element.find(path)
    return "" if found is None else found.text


def _number(element: Element, path: str, file: str) -> float:
    text = _text(element, path)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DatasetError(f"{file}: {path} of {element.name} is {text!r}, no number: correct it")
    return value


def _check_size(root: Element, size: Tuple[int, int], path: str) -> None:
    """The stated size, where there is one (some tools write 0), has to be the file's."""
    stated = tuple(int(_number(root, f"size/{side}", path)) for side in ("height", "width") if root.find("size"))
    if stated and any(stated) and stated != size:
        raise DatasetError(
            f"{path}: the image is {size} (height, width) but the annotation says {stated}: annotate the file that is "
            "there, or restore the original image"
        )


def _box(found: Element, size: Tuple[int, int], path: str) -> List[float]:
    """x1, y1, x2, y2 from 0 on (VOC counts from 1), cut at the image."""
    corners = [_number(found, f"bndbox/{side}", path) - 1 for side in SIDES]
    if corners[2] < corners[0] or corners[3] < corners[1]:
        raise DatasetError(f"{path}: a box of {_text(found, 'name')!r} ends before it begins: correct it")
    return [min(max(value, 0.0), size[1 - at % 2] - 1.0) for at, value in enumerate(corners)]
