"""Mask voting: the last step of FCIS at test time, which replaces each detection by the average of its neighbours.

Each class is suppressed over all rois (no score threshold); the best results of the image stay. For each of them
all rois that overlap it enough vote, with their score for that class, on every pixel their mask covers. The pixels
with enough votes give the new box, the votes inside it the new mask (FCIS, CVPR 2017, section 3.3 "Inference").

The original has two versions of this step. They find the same boxes except for degenerate ones, and masks that
differ a little near the border of the box:

| rule  | suppression | resampling of masks                | no votes, or one pixel wide            |
|-------|-------------|------------------------------------|----------------------------------------|
| "gpu" | `gpu_nms`   | from the votes on the whole image  | dropped                                |
| "cpu" | `nms`       | `cv2.resize`: box edges replicated | kept; without votes the centre pixel   |
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any, Callable, List, Tuple

import numpy as np

from fullconv.lib.utils.pixel_limit import max_pixels
from fullconv.operator_cxx import c_library

_RULES = {"gpu": 0, "cpu": 1}


@lru_cache(maxsize=None)
def _entries() -> Tuple[Callable[..., int], Callable[..., int]]:
    """The voting entry point of the operator library and the one that says how much scratch it needs."""
    library = c_library()
    vote, workspace = library.fullconv_mask_voting_ordered_cpu, library.fullconv_mask_voting_workspace
    pointer, number, real = ctypes.c_void_p, ctypes.c_int, ctypes.c_double
    vote.argtypes = [*[pointer] * 4, number, *[pointer] * 3, *[number] * 7, *[real] * 3, pointer]
    workspace.argtypes, workspace.restype = [number] * 4, ctypes.c_size_t
    return vote, workspace


def _checked(array: Any, name: str, shape: Tuple[int, ...]) -> np.ndarray:
    """`array` as contiguous float32, if it has `shape` (-1: any size)."""
    array = np.ascontiguousarray(array, dtype=np.float32)
    if array.ndim != len(shape) or any(want not in (-1, have) for want, have in zip(shape, array.shape)):
        expected = ", ".join("*" if size < 0 else str(size) for size in shape)
        raise ValueError(f"mask_voting needs {name} of shape ({expected}), got {array.shape}")
    return array


def _vote(
    masks: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    sizes: Tuple[int, ...],
    thresholds: Tuple[float, ...],
    rule: int,
    capacity: int,
) -> Tuple[np.ndarray, np.ndarray, int]:
    """dets (capacity, 6) class, box, score; masks (capacity, M, M); number of results (may exceed capacity)."""
    vote, workspace_size = _entries()
    n, classes, size = len(boxes), scores.shape[1], masks.shape[-1]
    # By numpy's own sort, as the original: which of two equal scores comes first is an accident of it (see `lib.nms`).
    order = np.ascontiguousarray(scores.T[1:].argsort(axis=1)[:, ::-1], dtype=np.int32)
    dets, out = np.empty((capacity, 6), np.float32), np.empty((capacity, size, size), np.float32)
    count = np.empty(1, np.float32)
    workspace = np.empty(workspace_size(n, classes, sizes[0], capacity), np.uint8)
    inputs = [array.ctypes.data for array in (masks, boxes, scores, order)]
    outputs = [array.ctypes.data for array in (dets, out, count)]
    error = vote(*inputs, rule, *outputs, n, classes, size, *sizes, capacity, *thresholds, workspace.ctypes.data)
    if error:
        raise RuntimeError(f"mask_voting failed with error {error}")
    return dets, out, int(count[0])


def mask_voting(
    masks: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    num_classes: int,
    max_per_image: int,
    im_width: int,
    im_height: int,
    nms_thresh: float = 0.3,
    merge_thresh: float = 0.5,
    binary_thresh: float = 0.4,
    rule: str = "gpu",
) -> Tuple[List[np.ndarray], List[np.ndarray]]:
    """Detections of one image from the rois of the network.

    Args:
        masks: (n, 1, M, M) foreground probability of each roi inside its box.
        boxes: (n, 4) x1, y1, x2, y2 in pixels of the image, ends inclusive; rounded half to even where used.
        scores: (n, C) class probabilities, class 0 the background. A roi with a NaN takes no part in that class.
        num_classes: C.
        max_per_image: results kept; more only when several have the same score as the last.
        im_width, im_height: size of the image.
        nms_thresh: IoU above which the lower-scored of two rois is no result.
        merge_thresh: IoU from which a roi votes for a result.
        binary_thresh: mask value from which a pixel is covered, and share of votes from which it belongs.
        rule: "gpu" or "cpu", see above. Both run on the CPU.

    Returns:
        Two lists with one item per class, background included and empty: boxes (m, 5) float64 x1, y1, x2, y2, score,
        best first, and masks (m, 1, M, M) float32. Without rois or survivors all items are empty.

    Raises:
        ValueError: shapes that do not fit each other, or a max_per_image, image size or rule that makes no sense; an
            image of more than `max_pixels()`.
    """
    if rule not in _RULES:
        raise ValueError(f"mask_voting rule {rule!r} is neither 'gpu' nor 'cpu'")
    _check_amounts(max_per_image, im_width, im_height)
    if not binary_thresh > 0:
        raise ValueError(f"mask_voting needs binary_thresh > 0, got {binary_thresh}")
    masks = _checked(masks, "masks", (-1, 1, -1, np.shape(masks)[-1]))
    boxes = _checked(boxes, "boxes", (len(masks), 4))
    scores = _checked(scores, "scores", (len(masks), num_classes))
    dets, out, count = np.zeros((0, 6), np.float32), masks[:0, 0], 0
    if len(masks) and num_classes > 1:
        sizes = (int(max_per_image), int(im_width), int(im_height))
        # Only scores equal to the last one's go beyond max_per_image, so a few more places save most second runs.
        thresholds, capacity = (nms_thresh, merge_thresh, binary_thresh), int(max_per_image) + 32
        dets, out, count = _vote(masks, boxes, scores, sizes, thresholds, _RULES[rule], capacity)
        # The count is right even where results did not fit.
        if count > capacity:  # many equal scores
            dets, out, count = _vote(masks, boxes, scores, sizes, thresholds, _RULES[rule], count)
    of_class = [dets[:, 0] == c if c else np.zeros(len(dets), bool) for c in range(num_classes)]
    boxes_of = [dets[rows, 1:].astype(np.float64) for rows in of_class]
    return boxes_of, [out[rows][:, np.newaxis] for rows in of_class]


def _check_amounts(max_per_image: int, im_width: int, im_height: int) -> None:
    if max_per_image < 1 or im_width < 1 or im_height < 1:
        raise ValueError(
            f"mask_voting needs max_per_image and image sides >= 1, got {max_per_image} and {im_width} x {im_height}"
        )
    if im_width * im_height > max_pixels():
        raise ValueError(
            f"mask_voting on {im_width} x {im_height} pixels, more than the limit of {max_pixels()}, would fill the "
            "memory: cut the image into tiles, or raise FULLCONV_MAX_PIXELS"
        )
