"""From pixels to network input, as the originals' data layers do it: no resizing, means subtracted, B, G, R."""

from __future__ import annotations

import cv2
import numpy as np

from fullconv.lib.dataset.segmentation import nyud, pascal_context, siftflow

DEMO_MEAN = np.array([104.00698793, 116.66876762, 122.67891434])
"""B, G, R mean of the original's infer script; its training files round it (lib.dataset.segmentation.base)."""


def image_tensor(image: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 -> (1, 3, h, w) float32 minus `mean` (3,), both in the same channel order.

    The subtraction is done in the mean's own precision, then rounded to float32: the originals' VOC layers have
    float64 means, the others float32. A table of the 256 values makes it fast.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"an image must be (h, w, 3) uint8, this one is {image.shape} {image.dtype}")
    mean = np.asarray(mean)
    if mean.shape != (3,) or mean.dtype.kind != "f":
        raise ValueError(f"the mean needs three numbers, one per channel, got {mean.tolist()}")
    # Subtracted in the mean's type, then rounded once: in float32 from the start the last bit differs from the VOC
    # layers'.
    tables = (np.arange(256, dtype=mean.dtype)[:, None] - mean).astype(np.float32)
    tensor = np.empty((1, 3) + image.shape[:2], np.float32)
    for channel, plane in enumerate(cv2.split(image)):
        cv2.LUT(plane, np.ascontiguousarray(tables[:, channel]), dst=tensor[0, channel])
    return tensor


def depth_tensor(depth: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(h, w) depth, positive integers -> (1, 1, h, w) float32: natural logarithm minus `mean` (1,)."""
    if depth.ndim != 2 or (depth <= 0).any():
        raise ValueError(f"depth must be (h, w) and positive, this one is {depth.shape} from {depth.min()}")
    # In float32 from here on, as the original's layer for NYUDv2.
    logarithm = np.log(depth.astype(np.float32))
    return (logarithm - np.asarray(mean, np.float32).reshape(1))[None, None]


def input_tensor(name: str, pixels: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The tensor of one input form (`depth`, or one of three channels), see `SegmentationSet.read_input`."""
    return depth_tensor(pixels, mean) if name == "depth" else image_tensor(pixels, mean)


def demo_mean(dataset: str, kind: str) -> np.ndarray:
    """What to subtract from an image of `kind` for a network trained on the set called `dataset`.

    Sets with the mean of ImageNet get it with all its digits, as the original's demo has it.
    """
    own = {"nyud": nyud.MEANS, "siftflow": siftflow.MEANS, "pascal_context": pascal_context.MEANS}.get(dataset, {})
    return own.get(kind, own.get("data", DEMO_MEAN))
