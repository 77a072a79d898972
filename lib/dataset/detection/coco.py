"""COCO annotations of objects (`coco_files` says where they are looked for).

Classes are the categories of the file in ascending order of id.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from fullconv.lib.dataset.background import BACKGROUND
from fullconv.lib.dataset.detection.coco_classes import no_classes
from fullconv.lib.dataset.detection.coco_files import ImageFinder, find_annotations
from fullconv.lib.dataset.detection.coco_format import (
    clip_box,
    find_contradictions,
    find_problems,
    in_order,
    is_usable,
    read_json,
    why_unusable,
    with_box,
)
from fullconv.lib.dataset.detection.detection_set import DetectionSet
from fullconv.lib.dataset.detection.problem import Problem
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image import image_size
from fullconv.lib.dataset.notice import say_once
from fullconv.lib.mask.mask_cache import CachedMasks, cache_path
from fullconv.lib.mask.polygon import segmentation_to_mask
from fullconv.lib.structures.entry import Entry

_SHOWN = 5  # problems spelled out in one error


class COCO(DetectionSet):
    """The images of one COCO annotation file, in its order.

    root_path: mask caches go below it. masks: False reads the boxes alone, from a file that need not have
    `segmentation`.

    Raises DatasetError: file not found, malformed, or with records that cannot be used, each named with its
    id.
    """

    def __init__(
        self,
        image_set: str,
        path: str = "./data/coco",
        limit: int | None = None,
        root_path: str = "./data",
        masks: bool = True,
    ) -> None:
        self.image_set, self._finder = image_set, ImageFinder(path, image_set)
        self.has_masks = masks
        self.annotation_file = find_annotations(path, image_set)
        data = read_json(self.annotation_file)
        _refuse(self.annotation_file, find_problems(data, masks))
        if not masks:
            _tell_contradictions(self.annotation_file, find_contradictions(data))
        names = {category["id"]: category["name"] for category in data["categories"]}
        left_out = no_classes(data)
        for reason in left_out.values():
            say_once(f"{self.annotation_file}: {reason}")
        self.category_ids = in_order(key for key in names if key not in left_out)
        self._class_of = {category_id: index + 1 for index, category_id in enumerate(self.category_ids)}
        self.images = data["images"][:limit]
        self.annotations: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for annotation in data["annotations"]:
            if annotation["category_id"] in left_out:
                continue
            self.annotations[annotation["image_id"]].append(annotation)
        classes = [BACKGROUND, *(names[category_id] for category_id in self.category_ids)]
        ids = [image["id"] for image in self.images]
        super().__init__("COCO_" + os.path.basename(image_set), classes, ids, limit)
        self.cache_folder = os.path.join(root_path, "cache", "masks", "coco_" + os.path.basename(image_set))

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(height, width) of every image, as the file states them."""
        return [(image["height"], image["width"]) for image in self.images]

    def read_entry(self, index: int) -> Entry:
        """See DetectionSet; without crowds, empty objects and boxes outside the image (original's behaviour)."""
        image = self.images[index]
        path, size = self._finder.find(image), (image["height"], image["width"])
        found = image_size(path)
        if found != size:
            raise DatasetError(
                f"{path}: the file is {found} (height, width) but image {image['id']} is {size} in "
                f"{self.annotation_file}: correct the annotations, or replace the file"
            )
        records = [with_box(record, size) for record in self.annotations[image["id"]]]
        usable = [record for record in records if is_usable(record, size)]
        return Entry(
            path,
            image["id"],
            *size,
            np.array([clip_box(record["bbox"], size) for record in usable]),
            np.array([self._class_of[record["category_id"]] for record in usable]),
            self._masks(usable, size) if self.has_masks else None,
        )

    def why_no_objects(self) -> str:
        """See DetectionSet."""
        counts = Counter(
            why_unusable(with_box(record, size), size)
            for image, size in zip(self.images, self.sizes)
            for record in self.annotations[image["id"]]
        )
        reasons = [f"{count} annotations {reason}" for reason, count in counts.items() if reason]
        return "; ".join(reasons) or f"{self.annotation_file} has no annotations of them"

    def _masks(self, usable: list[dict[str, Any]], size: tuple[int, int]) -> CachedMasks:
        segmentations = [record["segmentation"] for record in usable]
        path = cache_path(self.cache_folder, repr((size, segmentations)))
        return CachedMasks(Segmentations(segmentations, size), path, (len(usable), *size), self.store)


@dataclass(frozen=True, eq=False)
class Segmentations:
    """Masks from the checked `segmentation` fields of one image of `size` (h, w): polygons or run-length codes."""

    segmentations: list[Any]
    size: tuple[int, int]

    def load(self) -> np.ndarray:
        """(n, h, w) bool; polygons of fewer than three points are skipped."""
        masks = np.zeros((len(self.segmentations), *self.size), bool)
        for mask, segmentation in zip(masks, self.segmentations):
            if isinstance(segmentation, list):
                segmentation = [part for part in segmentation if len(part) >= 6]
            mask[:] = segmentation_to_mask(segmentation, *self.size)
        return masks


def _tell_contradictions(path: str, problems: list[Problem]) -> None:
    """Boxes that masks contradict are learned silently; what does not bar the set is told."""
    _refuse(path, problems)
    if problems:
        say_once(
            f"{path}: {len(problems)} boxes are not those of their masks, and boxes are what is learned; the first: "
            f"{problems[0]}. `python -m fullconv.lib.tools.check` lists all"
        )


def _refuse(path: str, problems: list[Problem]) -> None:
    fatal = [str(problem) for problem in problems if problem.fatal]
    if fatal:
        more = f"; and {len(fatal) - _SHOWN} more" if len(fatal) > _SHOWN else ""
        raise DatasetError(f"{path}: {'; '.join(fatal[:_SHOWN])}{more}. `python -m fullconv.lib.tools.check` lists all")
