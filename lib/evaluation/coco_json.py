"""Detections as a COCO file: images, categories and annotations with RLE or polygons and a score each.

Viewers, labelling tools and pycocotools read it like a ground-truth file.
"""

from __future__ import annotations

import json
from typing import Any, Mapping, Sequence

import numpy as np

from fullconv.lib.mask.encode import encode_mask, mask_to_polygons, paste_mask
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

    def add(
        self,
        file_name: str,
        size: tuple[int, int],
        boxes: np.ndarray,
        masks: np.ndarray,
        labels: Sequence[int],
    ) -> None:
        """Add one image.

        Args:
            file_name: as the reader of the file will know the image.
            size: (height, width).
            boxes: (m, 5) x1, y1, x2, y2 in pixels with inclusive ends, and score.
            masks: (m, M, M) foreground probability inside the box.
            labels: m classes, 1 for the first category.
        """
        height, width = size
        image_id = len(self.images) + 1
        self.images.append({"id": image_id, "file_name": file_name, "height": height, "width": width})
        for box, mask, label in zip(np.asarray(boxes, dtype=np.float64), masks, labels):
            pasted = paste_mask(np.asarray(mask, np.float32), box, height, width, self.binary_thresh)
            x1, y1, x2, y2 = np.clip(box[:4], 0, [width - 1, height - 1] * 2).tolist()
            self.annotations.append(
                {
                    "id": len(self.annotations) + 1,
                    "image_id": image_id,
                    "category_id": self.category_ids[label - 1],
                    "bbox": [round(v, 2) for v in (x1, y1, x2 - x1 + 1, y2 - y1 + 1)],
                    "area": int(pasted.sum()),
                    "iscrowd": 0,
                    "score": round(float(box[4]), 6),
                    "segmentation": self._segmentation(pasted),
                }
            )

    def _segmentation(self, mask: np.ndarray):
        # A mask too thin for an outline keeps its run-length code: both are valid, and nothing is lost.
        return (self.polygons and mask_to_polygons(mask)) or encode_mask(mask)

    def write(self, path: str) -> None:
        """Write the file in one step, never half of it. Raises OSError when it cannot be written."""
        content = {"images": self.images, "categories": self.categories, "annotations": self.annotations}
        atomic.write_text(str(path), json.dumps(content, sort_keys=True) + "\n")
