"""COCO instance annotations: the originals' layout, or any COCO json and image folder of the user's own.

Classes are the categories of the file in ascending order of id. Looked for below dataset_path, first match
wins:

    annotations   annotations/instances_<set>.json, annotations/<set>.json, instances_<set>.json, <set>.json;
                  annotations/image_info_<set>.json before them for a set whose name contains "test"
    images        file_name in images/<data name>, <data name>, images, the folder itself, train2017, val2017,
                  test2017, train2014, val2014, the last five also in images; <data name> is the set, or for
                  the originals' splits of val2014 and test2015 those
"""

from __future__ import annotations

import os
from collections import defaultdict
from functools import partial
from typing import Any, Sequence

import numpy as np

from fullconv.lib.dataset.detection.coco_format import clip_box, find_problems, is_usable, read_json
from fullconv.lib.dataset.detection.imdb import BACKGROUND, IMDB, DatasetError, Entry, make_entry
from fullconv.lib.dataset.image import image_size
from fullconv.lib.mask.mask_cache import cache_path
from fullconv.lib.mask.polygon import segmentation_to_mask

DATA_NAMES = {"minival2014": "val2014", "valminusminival2014": "val2014", "test-dev2015": "test2015"}
_SPLITS = ("train2017", "val2017", "test2017", "train2014", "val2014")
_SHOWN = 5  # problems spelled out in one error


class COCO(IMDB):
    """The images of one COCO annotation file, in its order.

    Raises DatasetError: file not found, malformed, or with records that cannot be used, each named with its
    id.
    """

    def __init__(
        self,
        image_set: str,
        root_path: str = "./data",
        dataset_path: str = "./data/coco",
        result_path: str = "",
        limit: int | None = None,
    ) -> None:
        self.image_set, self._finder = image_set, ImageFinder(dataset_path, image_set)
        self.annotation_file = find_annotations(dataset_path, image_set)
        data = read_json(self.annotation_file)
        _refuse(self.annotation_file, find_problems(data))
        categories = sorted(data["categories"], key=lambda category: category["id"])
        self.category_ids = [category["id"] for category in categories]
        self._class_of = {category_id: index + 1 for index, category_id in enumerate(self.category_ids)}
        self.images = data["images"][:limit]
        self.annotations: dict[Any, list[dict]] = defaultdict(list)
        for annotation in data["annotations"]:
            self.annotations[annotation["image_id"]].append(annotation)
        name = "COCO_" + os.path.basename(image_set) + (f"_first{limit}" if limit else "")
        classes = [BACKGROUND] + [category["name"] for category in categories]
        super().__init__(name, classes, [image["id"] for image in self.images], result_path)
        self.cache_folder = os.path.join(root_path, "cache", "masks", "coco_" + os.path.basename(image_set))

    def read_entry(self, index: int) -> Entry:
        """See IMDB; without crowds, empty objects and boxes outside the image (original's behaviour)."""
        image = self.images[index]
        path, size = self._finder.find(image), (image["height"], image["width"])
        found = image_size(path)
        if found != size:
            raise DatasetError(
                f"{path}: the file is {found} (height, width) but image {image['id']} is {size} in "
                f"{self.annotation_file}: correct the annotations, or replace the file"
            )
        usable = [record for record in self.annotations[image["id"]] if is_usable(record, size)]
        segmentations = [record["segmentation"] for record in usable]
        return make_entry(
            path,
            image["id"],
            size,
            np.array([clip_box(record["bbox"], size) for record in usable]),
            np.array([self._class_of[record["category_id"]] for record in usable]),
            cache_path(self.cache_folder, repr((size, segmentations))),
            partial(rasterise, segmentations, size),
        )

    def evaluate_masks(
        self, all_boxes: Sequence, all_masks: Sequence, output_dir: str, binary_thresh: float = 0.4
    ) -> dict[str, float]:
        """COCO mask AP by pycocotools, after writing the results json (lib.evaluation.coco)."""
        from fullconv.lib.evaluation.coco import evaluate_coco

        return evaluate_coco(
            self.annotation_file,
            self.image_ids,
            self.category_ids,
            self.classes,
            all_boxes,
            all_masks,
            [(image["height"], image["width"]) for image in self.images],
            output_dir,
            binary_thresh,
            result_name=os.path.basename(self.image_set),
        )

    def score_table(self, scores: dict[str, float]) -> str:
        """COCO's twelve numbers and AP per class, for masks and boxes, in percent."""
        from fullconv.lib.evaluation.coco import format_table

        return format_table(scores, self.classes)


class ImageFinder:
    """Finds image files; the folder of the last one is tried first."""

    def __init__(self, path: str, image_set: str) -> None:
        name = os.path.basename(image_set)
        self.data_name = DATA_NAMES.get(name, name)
        folders = [os.path.join("images", self.data_name), self.data_name, "images", "", *_SPLITS]
        folders += [os.path.join("images", split) for split in _SPLITS]
        self.folders = [os.path.join(path, folder) for folder in folders]

    def find(self, image: dict[str, Any]) -> str:
        """Path of an image record. Raises DatasetError that lists where it was looked for."""
        names = [image["file_name"]]
        if isinstance(image["id"], int):
            names.append(f"COCO_{self.data_name}_{image['id']:012d}.jpg")  # the original's rule
        for folder in self.folders:
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path):
                    self.folders.remove(folder)
                    self.folders.insert(0, folder)
                    return path
        raise DatasetError(
            f"{image['file_name']} of image {image['id']} is in none of {', '.join(self.folders)}: "
            f"move the images there, or correct dataset_path"
        )


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


def rasterise(segmentations: list, size: tuple[int, int]) -> np.ndarray:
    """Checked COCO segmentations -> masks (n, h, w) bool; polygons of fewer than three points are skipped."""
    masks = np.zeros((len(segmentations),) + tuple(size), bool)
    for mask, segmentation in zip(masks, segmentations):
        if isinstance(segmentation, list):
            segmentation = [part for part in segmentation if len(part) >= 6]
        mask[:] = segmentation_to_mask(segmentation, *size)
    return masks


def _refuse(path: str, problems: list) -> None:
    fatal = [str(problem) for problem in problems if problem.fatal]
    if fatal:
        more = f"; and {len(fatal) - _SHOWN} more" if len(fatal) > _SHOWN else ""
        raise DatasetError(f"{path}: {'; '.join(fatal[:_SHOWN])}{more}. `python -m fullconv.lib.tools.check` lists all")
