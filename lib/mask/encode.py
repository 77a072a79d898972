"""Network masks (M x M inside a box) as image masks, run-length codes and polygons."""

from __future__ import annotations

from typing import Any, Dict, List

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from fullconv.lib.mask._raster import column_runs


def paste_mask(mask: np.ndarray, box: np.ndarray, height: int, width: int, threshold: float = 0.4) -> np.ndarray:
    """One mask (M, M) at its place in the image.

    The box (4,) is clipped to the image and rounded (half to even), the mask resized to it (bilinear) and cut
    at `threshold`.

    Returns:
        (height, width) bool; all False for a box that is inverted or not finite.
    """
    image = np.zeros((height, width), dtype=bool)
    # NaN as an integer is whatever the processor makes of it.
    if not np.isfinite(box[:4]).all():
        return image
    clipped = np.clip(np.asarray(box[:4], dtype=np.float64), 0, [width - 1, height - 1] * 2)
    x1, y1, x2, y2 = np.round(clipped).astype(int)
    if x2 < x1 or y2 < y1:
        return image
    size = (int(x2 - x1 + 1), int(y2 - y1 + 1))
    image[y1 : y2 + 1, x1 : x2 + 1] = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR) >= threshold
    return image


def encode_mask(mask: np.ndarray) -> Dict[str, Any]:
    """COCO run-length code of a bool mask (H, W): {"size": [H, W], "counts": str}, ready for json."""
    # COCO's runs go down the columns, so pycocotools wants Fortran order.
    code = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")}


def encode_crop(crop: np.ndarray, box: np.ndarray, height: int, width: int) -> Dict[str, Any]:
    """`encode_mask` of a bool mask that is given inside its box alone, without making the whole of it.

    crop: (y2 - y1 + 1, x2 - x1 + 1), box: x1, y1, x2, y2 inside the image of height x width, ends inclusive.
    """
    crop = np.ascontiguousarray(crop, bool).view(np.uint8)
    counts = np.empty(2 * crop.size + 1, np.uint32)
    runs = column_runs(crop, int(box[1]), int(box[0]), height, width, counts)
    code = coco_mask.frPyObjects({"size": [height, width], "counts": counts[:runs]}, height, width)
    return {"size": [height, width], "counts": code["counts"].decode("ascii")}


def encode_masks(
    masks: np.ndarray, boxes: np.ndarray, height: int, width: int, threshold: float = 0.4
) -> List[Dict[str, Any]]:
    """Run-length codes of n network masks.

    Args:
        masks: (n, M, M) or (n, 1, M, M) foreground probability.
        boxes: (n, 4 or more) in image pixels, clipped to the image first.

    Raises:
        ValueError: as many boxes as masks are needed.
    """
    if len(masks) != len(boxes):
        raise ValueError(f"encode_masks needs one box per mask, got {len(boxes)} and {len(masks)}")
    masks = np.asarray(masks, dtype=np.float32).reshape(len(masks), *np.shape(masks)[-2:])
    return [encode_mask(paste_mask(mask, box, height, width, threshold)) for mask, box in zip(masks, boxes)]


def mask_to_polygons(mask: np.ndarray, tolerance: float = 0.0) -> List[List[float]]:
    """Outlines of a bool mask (H, W) as COCO polygons, through the centres of the border pixels.

    Holes are lost, as the COCO format has none, and so are parts less than a pixel wide (fewer than three
    corners). `tolerance` is the largest distance in pixels by which the outline may be simplified.
    """
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if tolerance > 0:
        contours = [cv2.approxPolyDP(contour, tolerance, True) for contour in contours]
    # json has no numpy integers, and COCO's own files have fractions here.
    return [contour.reshape(-1).astype(float).tolist() for contour in contours if len(contour) >= 3]
