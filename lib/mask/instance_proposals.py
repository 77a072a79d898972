"""From instance-sensitive score maps to segment proposals: the last steps of InstanceFCN (ECCV 2016, section 3.3).

Windows are visited in falling order of score. Each is assembled from the maps, pasted into the image, thresholded, and
dropped if its box overlaps one that stayed; visiting ends when enough have stayed. That gives the same proposals as
pasting all windows first. MXNet is not needed.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from fullconv.lib.mask.encode import encode_crop
from fullconv.lib.utils.sigmoid import sigmoid
from fullconv.operator_cxx import c_library

Size = Tuple[int, int]
"""(height, width)."""

RULES = ("centre", "floor")


class ScaleMaps(NamedTuple):
    """The network's output for an image at one size: logits, float32.

    score_maps (k * k, H, W), channel row * k + column of the part. objectness (H, W). size: (height, width) of the
    resized image in pixels, without what it was padded with.
    """

    score_maps: np.ndarray
    objectness: np.ndarray
    size: Size


@dataclass(frozen=True, eq=False)
class Proposals:
    """m segments of one image, best first.

    windows (m, 3) int64: number of the scale, cy, cx. boxes (m, 4) int32: x1, y1, x2, y2 tight around the masks, ends
    inclusive. scores (m,) float64 in (0, 1). crops: m masks (y2 - y1 + 1, x2 - x1 + 1) bool inside their boxes. grids
    (m, M, M) float32: probabilities of the windows' cells, 0 off the map. size: (height, width) of the image.
    """

    windows: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    crops: List[np.ndarray]
    grids: np.ndarray
    size: Size

    def __len__(self) -> int:
        return len(self.scores)

    def first(self, count: int) -> Proposals:
        """The best `count`."""
        windows, boxes, scores = self.windows[:count], self.boxes[:count], self.scores[:count]
        return Proposals(windows, boxes, scores, self.crops[:count], self.grids[:count], self.size)

    def mask(self, i: int) -> np.ndarray:
        """Mask i (height, width) bool in the image."""
        mask = np.zeros(self.size, bool)
        x1, y1, x2, y2 = self.boxes[i]
        mask[y1 : y2 + 1, x1 : x2 + 1] = self.crops[i]
        return mask

    def codes(self) -> List[Dict[str, Any]]:
        """COCO run-length codes of the masks, ready for json."""
        return [encode_crop(crop, box, *self.size) for crop, box in zip(self.crops, self.boxes)]


def instance_proposals(
    scales: Sequence[ScaleMaps],
    image: Size,
    count: int = 1000,
    threshold: float = 0.5,
    nms_threshold: float = 0.8,
    window_size: int = 21,
    rule: str = "centre",
    stride: int = 8,
    candidates: int = 0,
) -> Proposals:
    """The `count` best segments of an image, over all its scales.

    Windows score the sigmoid of their objectness; of equal scores that of the earlier scale comes first, then the one
    above, then the one to the left. Their masks are probabilities interpolated between the cells of the window that are
    on the map, cut at `threshold`; one without a pixel is no proposal.

    Args:
        scales: at least one.
        image: (height, width) of the image itself, which the masks are made for.
        count: proposals that stay at most.
        threshold: probability from which a pixel is object, above 0 (the paper says "truncate", not where; our choice).
        nms_threshold: a box that overlaps one that stayed by more is dropped. Boxes are tight around their masks.
        window_size, rule: of the windows, as in `lib.operators.assembling.assemble`.
        stride: input pixels from one map pixel to the next.
        candidates: look at so many of the best windows only; 0 looks at all.

    Raises:
        ValueError: shapes that do not fit each other, or values that make no sense.
    """
    group = _check(scales, image, count, threshold, window_size, rule)
    scores = sigmoid(np.concatenate([scale.objectness.ravel() for scale in scales]).astype(np.float64))
    # A network that has diverged says nan: such windows come last, and are left out.
    order = np.argsort(-scores, kind="stable")[: len(scores) - int(np.isnan(scores).sum())]
    order = np.ascontiguousarray(order[:candidates] if candidates else order, np.int64)
    pyramid = _Pyramid(scales, image, group, window_size, RULES.index(rule), stride)
    kept, boxes = pyramid.suppress(order, float(threshold), float(nms_threshold), int(count))
    crops, grids = pyramid.paste(kept, boxes, float(threshold), window_size)
    return Proposals(pyramid.places(kept), boxes, scores[kept], crops, grids, (int(image[0]), int(image[1])))


def _check(scales: Sequence[ScaleMaps], image: Size, count: int, threshold: float, window_size: int, rule: str) -> int:
    """The number of parts along one side, k."""
    if not scales or min(image) < 1 or count < 1 or not threshold > 0:
        raise ValueError(
            f"proposals need scales, image sides and a count of at least 1 and a threshold above 0: got {len(scales)} "
            f"scales, an image of {image[0]} x {image[1]}, count {count} and threshold {threshold}"
        )
    if rule not in RULES:
        raise ValueError(f"assembling rule {rule!r} is none of {', '.join(RULES)}")
    channels = len(scales[0].score_maps)
    group = int(round(channels**0.5))
    if group * group != channels or not group <= window_size <= 255 or window_size % 2 == 0:
        raise ValueError(f"windows of {window_size} pixels (an odd number up to 255) cannot have {channels} parts")
    for scale in scales:
        if scale.score_maps.shape != (channels, *scale.objectness.shape) or scale.objectness.ndim != 2:
            raise ValueError(
                f"score maps {scale.score_maps.shape} do not fit objectness {scale.objectness.shape}: need "
                f"({channels}, H, W) and (H, W)"
            )
    return group


@lru_cache(maxsize=None)
def _library() -> ctypes.CDLL:
    library, pointer, number = c_library(), ctypes.c_void_p, ctypes.c_int
    long, real, double = ctypes.c_int64, ctypes.c_float, ctypes.c_double
    pyramid: List[Any] = [*[pointer] * 3, *[number] * 7]
    suppress, paste = library.fullconv_instance_boxes_cpu, library.fullconv_instance_masks_cpu
    suppress.argtypes = [*pyramid, pointer, long, real, double, long, *[pointer] * 3]
    paste.argtypes = [*pyramid, *[pointer] * 3, long, real, *[pointer] * 2]
    return library


class _Pyramid:
    """The maps of all scales as the library wants them: probabilities, one scale after the other."""

    def __init__(
        self, scales: Sequence[ScaleMaps], image: Size, group: int, window_size: int, rule: int, stride: int
    ) -> None:
        self.shapes = np.array([scale.objectness.shape for scale in scales], np.int32)
        sizes = np.array([scale.size for scale in scales], np.float64)
        maps = sigmoid(np.concatenate([np.asarray(scale.score_maps, np.float32).ravel() for scale in scales]))
        # Kept: the library gets their addresses.
        self.arrays = maps, self.shapes, sizes
        numbers = (len(scales), group, window_size, rule, stride, int(image[0]), int(image[1]))
        self.arguments = [*(array.ctypes.data for array in self.arrays), *numbers]

    def suppress(
        self, order: np.ndarray, threshold: float, nms_threshold: float, most: int
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Numbers of the windows that stay and their boxes."""
        most = min(most, len(order))
        kept, boxes, number = np.empty(most, np.int64), np.empty((most, 4), np.int32), np.zeros(1, np.int64)
        outputs = [array.ctypes.data for array in (kept, boxes, number)]
        entry = _library().fullconv_instance_boxes_cpu
        entry(*self.arguments, order.ctypes.data, len(order), threshold, nms_threshold, most, *outputs)
        return kept[: number[0]], boxes[: number[0]]

    def paste(
        self, windows: np.ndarray, boxes: np.ndarray, threshold: float, window_size: int
    ) -> Tuple[List[np.ndarray], np.ndarray]:
        """Masks inside their boxes and probabilities of the windows."""
        heights, widths = (boxes[:, end].astype(np.int64) - boxes[:, end - 2] + 1 for end in (3, 2))
        ends = np.cumsum(heights * widths)
        offsets = ends - heights * widths
        pixels = np.empty(int(ends[-1]) if len(ends) else 0, bool)
        grids = np.empty((len(windows), window_size, window_size), np.float32)
        inputs = [array.ctypes.data for array in (windows, boxes, offsets)]
        entry = _library().fullconv_instance_masks_cpu
        entry(*self.arguments, *inputs, len(windows), threshold, pixels.ctypes.data, grids.ctypes.data)
        places = zip(offsets.tolist(), ends.tolist(), heights.tolist(), widths.tolist())
        return [pixels[start:end].reshape(height, width) for start, end, height, width in places], grids

    def places(self, windows: np.ndarray) -> np.ndarray:
        """(m, 3) scale, cy, cx of windows by their number."""
        ends = np.cumsum(self.shapes.prod(axis=1, dtype=np.int64))
        scale = np.searchsorted(ends, windows, side="right")
        width = self.shapes[scale, 1].astype(np.int64)
        within = windows - np.concatenate([[0], ends])[scale]
        return np.stack([scale, within // width, within % width], axis=1)
