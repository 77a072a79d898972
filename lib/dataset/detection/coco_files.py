"""Where the files of a COCO data set are: the originals' layout, or any json and image folder of the user's own.

Looked for below dataset_path, first match wins:

    annotations   annotations/instances_<set>.json, annotations/<set>.json, instances_<set>.json, <set>.json;
                  annotations/image_info_<set>.json before them for a set whose name contains "test"
    images        file_name in images/<data name>, <data name>, images, the folder itself, train2017, val2017,
                  test2017, train2014, val2014, the last five also in images; <data name> is the set, or for
                  the originals' splits of val2014 and test2015 those
"""

from __future__ import annotations

import os
from typing import Any

from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.foreign_paths import find_by_end, is_foreign, portable
from fullconv.lib.dataset.notice import say_once

DATA_NAMES = {"minival2014": "val2014", "valminusminival2014": "val2014", "test-dev2015": "test2015"}
_SPLITS = ("train2017", "val2017", "test2017", "train2014", "val2014")


class ImageFinder:
    """Finds image files; the folder of the last one is tried first."""

    def __init__(self, path: str, image_set: str) -> None:
        name = os.path.basename(image_set)
        self.data_name = DATA_NAMES.get(name, name)
        folders = [os.path.join("images", self.data_name), self.data_name, "images", "", *_SPLITS]
        folders += [os.path.join("images", split) for split in _SPLITS]
        self.folders = [os.path.join(path, folder) for folder in folders]
        self._by_end: set[str] = set()  # files that were found for the end of a name
        self._owner: dict[str, Any] = {}  # file -> id of its image

    def find(self, image: dict[str, Any]) -> str:
        """Path of an image record. Raises DatasetError that lists where it was looked for."""
        name = portable(image["file_name"])
        names = [] if is_foreign(name) else [name]
        if isinstance(image["id"], int):
            names.append(f"COCO_{self.data_name}_{image['id']:012d}.jpg")  # the original's rule
        for folder in self.folders:
            for one in names:
                path = os.path.join(folder, one)
                if os.path.isfile(path):
                    self.folders.remove(folder)
                    self.folders.insert(0, folder)
                    return self._of_one_image(path, image)
        return self._find_foreign(image, name)

    def _find_foreign(self, image: dict[str, Any], name: str) -> str:
        """The file of a name with folders of another machine, which exists once and belongs to one image."""
        path = find_by_end(name, self.folders) if is_foreign(name) else None
        if path is not None:
            say_once(f"{os.path.dirname(path)}: images are found here by the ends of their names, as of {name}")
            self._by_end.add(path)
            return self._of_one_image(path, image)
        raise DatasetError(
            f"{image['file_name']} of image {image['id']} is in none of {', '.join(self.folders)}: "
            f"move the images there, or correct dataset_path"
        )

    def _of_one_image(self, path: str, image: dict[str, Any]) -> str:
        """The path, unless a name's end has found the file of another image."""
        other = self._owner.setdefault(path, image["id"])
        if other != image["id"] and path in self._by_end:
            raise DatasetError(f"{path} is the only file for image {other} and image {image['id']}: add the other")
        return path


def find_annotations(path: str, image_set: str) -> str:
    """The annotation file of a set. Raises DatasetError that lists where it was looked for."""
    names = [f"annotations/instances_{image_set}.json", f"annotations/{image_set}.json"]
    names += [f"instances_{image_set}.json", f"{image_set}.json"]
    if "test" in image_set:
        names.insert(0, f"annotations/image_info_{image_set}.json")
    for name in names:
        if os.path.isfile(os.path.join(path, name)):
            return os.path.join(path, name)
    raise DatasetError(f"image_set {image_set!r}: {path} has none of {', '.join(names)}: check dataset_path")
