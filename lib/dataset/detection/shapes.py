"""The embedded data set of objects: drawn where it is not on disk yet, then read as a VOC folder."""

from __future__ import annotations

from fullconv.lib.dataset.detection.pascal_voc import PascalVOC
from fullconv.lib.dataset.shapes import writer


class Shapes(PascalVOC):
    """Split train, val, or as in train200 another number of pictures.

    Raises DatasetError: another split, or a folder that holds the other embedded set; OSError: it cannot be written.
    """

    def __init__(
        self,
        image_set: str,
        path: str = "./data/shapes",
        limit: int | None = None,
        root_path: str = "./data",
        masks: bool = True,
    ) -> None:
        split, count = writer.split_and_count(image_set, limit)
        writer.generate(path, split, count)
        super().__init__(f"shapes_{split}", path, count, root_path, masks)
