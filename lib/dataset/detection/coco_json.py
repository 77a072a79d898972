"""Detections as a COCO file: images, categories and annotations with a box, a score and, from a method with masks, RLE
or polygons each.

Viewers, labelling tools and pycocotools read it like a ground-truth file.
"""

from __future__ import annotations

import json
from typing import Any, Mapping

import numpy as np

from fullconv.lib.mask.encode import encode_mask, mask_to_polygons, paste_mask
from fullconv.lib.structures.detections import Detections
from fullconv.lib.utils import atomic


class CocoFile:
    """Collects detections image by image.

    Args:
        categories: category id -> name, in the order of the network's classes 1, 2, ...
        polygons: outlines instead of run-length codes.
        binary_thresh: least probability that belongs to a mask.
    """

    def __init__(self, categories: Mapping[int, str], polygons: bool = False, binary_thresh: float = 0.4) -> None:
        self.category_ids = list(categories)
        self.polygons, self.binary_thresh = polygons, binary_thresh
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.categories = [{"id": number, "name": name} for number, name in categories.items()]

    def add(self, file_name: str, size: tuple[int, int], detections: Detections) -> None:
        """Add one image of `size` (height, width); file_name: as the reader of the file will know the image.

        The area is that of the mask, or of the box where there is no mask.
        """
        height, width = size
        image_id = len(self.images) + 1
        self.images.append({"id": image_id, "file_name": file_name, "height": height, "width": width})
        for row, (box, score, label) in enumerate(zip(detections.boxes, detections.scores, detections.labels)):
            corners = np.asarray(box, dtype=np.float64)
            x1, y1, x2, y2 = np.clip(corners, 0, [width - 1, height - 1] * 2).tolist()
            sides = x2 - x1 + 1, y2 - y1 + 1
            record = {
                "id": len(self.annotations) + 1,
                "image_id": image_id,
                "category_id": self.category_ids[label - 1],
                "bbox": [round(v, 2) for v in (x1, y1, *sides)],
                "area": round(sides[0] * sides[1], 2),
                "iscrowd": 0,
                "score": round(float(score), 6),
            }
            if detections.masks is not None:
                pasted = paste_mask(detections.masks[row], corners, height, width, self.binary_thresh)
                record.update(area=int(pasted.sum()), segmentation=self._segmentation(pasted))
            self.annotations.append(record)

    def _segmentation(self, mask: np.ndarray) -> Any:
        # A mask too thin for an outline keeps its run-length code: both are valid, and nothing is lost.
        return (self.polygons and mask_to_polygons(mask)) or encode_mask(mask)

    def write(self, path: str) -> None:
        """Write the file in one step, never half of it. Raises OSError when it cannot be written."""
        content = {"images": self.images, "categories": self.categories, "annotations": self.annotations}
        atomic.write_text(str(path), json.dumps(content, sort_keys=True) + "\n")
