"""Which windows are an object's, which are none, and the masks inside of those that are.

The paper has windows "as in DeepMask", from which the numbers come (Pinheiro et al., NIPS 2015, section 3.3). All
places are in pixels of the network's input; a map's cell (y, x) covers pixels [8y, 8y + 8) x [8x, 8x + 8) of it, and
the window of a cell is centred at the cell's centre.
"""

from __future__ import annotations

from typing import Iterable, NamedTuple, Optional, Tuple

import cv2
import numpy as np

Size = Tuple[int, int]
"""(height, width)."""

NOTHING = -1
"""Label of what takes part in no loss."""

FILLS = ("rpn", "strict")


class WindowRule(NamedTuple):
    """What makes a window positive or negative, and how many are drawn.

    canonical: longer side of the object that a window is made for, in input pixels. The paper does not say whether
    DeepMask's 128 of a 224-pixel crop mean as many pixels here (our choice: then the paper's six scales cover objects
    up to the whole image) or the same share of the window, which is 96. shift: positive up to so many pixels of the
    centres along each axis (12 in the second reading). tolerance: and up to this factor of the canonical side. The
    default leaves no gap between scales 1.5 apart, DeepMask's 2 ** 0.25, made for steps of 2 ** 0.5, does.
    negative_shift, negative_scale: negative from so far (24 in the second reading) or from this factor on, to every
    object. count: windows drawn for an image. positive_share: at most that share is positive. fill: "rpn" fills up with
    negatives, as a region proposal network does; "strict" takes as many negatives as positives.

    Raises ValueError: a fill that is neither.
    """

    canonical: float = 128.0
    shift: float = 16.0
    tolerance: float = 1.5**0.5
    negative_shift: float = 32.0
    negative_scale: float = 2.0
    count: int = 256  # type: ignore[assignment]  # a tuple's method of this name is not used
    positive_share: float = 0.5
    fill: str = "rpn"


def assign(
    boxes: np.ndarray, crowd: np.ndarray, shape: Size, rule: WindowRule, stride: int = 8
) -> Tuple[np.ndarray, np.ndarray]:
    """(labels, objects), both (H, W) int32: of every window 1, 0 or NOTHING, and the object of a positive or -1.

    boxes (n, 4): x1, y1, x2, y2 tight around the objects, half-open (a side is x2 - x1 long). crowd (n,) bool: such an
    object makes no window positive, but keeps it from being negative. shape: of the map.

    Of several objects a window takes the one whose centre is nearest, then the one nearest to the canonical size, then
    the first.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    rows, columns = (np.arange(side) * float(stride) + stride / 2 for side in shape)
    labels = np.zeros(shape, np.int32)
    objects, nearest, octaves_of = np.full(shape, -1, np.int32), np.full(shape, np.inf), np.full(shape, np.inf)
    positives = []
    for n, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        side = max(x2 - x1, y2 - y1)
        octaves = abs(np.log2(side / rule.canonical)) if side > 0 else np.inf
        across, down = np.abs(columns - (x1 + x2) / 2), np.abs(rows - (y1 + y2) / 2)
        if octaves < np.log2(rule.negative_scale):
            labels[np.ix_(down < rule.negative_shift, across < rule.negative_shift)] = NOTHING
        if octaves <= np.log2(rule.tolerance) and not crowd[n]:
            positives.append((n, octaves, down, across))
    for n, octaves, down, across in positives:
        place = np.ix_(down <= rule.shift, across <= rule.shift)
        distance = np.hypot(down[place[0]], across[place[1]])
        better = (distance < nearest[place]) | ((distance == nearest[place]) & (octaves < octaves_of[place]))
        for array, value in ((nearest, distance), (octaves_of, octaves), (objects, n)):
            array[place] = np.where(better, value, array[place])
    labels[objects >= 0] = 1
    return labels, objects


def sample(labels: np.ndarray, rule: WindowRule, rng: np.random.RandomState) -> np.ndarray:
    """`labels` with NOTHING in place of those that are not drawn; where there are fewer than asked for, all stay.

    Raises ValueError: an unknown `rule.fill`.
    """
    if rule.fill not in FILLS:
        raise ValueError(f"windows are filled up by {rule.fill!r}: must be one of {', '.join(FILLS)}")
    labels = labels.copy()
    kept = _thin(labels, 1, int(rule.count * rule.positive_share), rng)
    _thin(labels, 0, rule.count - kept if rule.fill == "rpn" else kept, rng)
    return labels


def _thin(labels: np.ndarray, label: int, most: int, rng: np.random.RandomState) -> int:
    """At most `most` windows keep their `label`; how many do."""
    found = np.flatnonzero(labels == label)
    if len(found) > most:
        labels.ravel()[rng.choice(found, len(found) - most, replace=False)] = NOTHING
    return min(len(found), most)


def object_shares(
    masks: np.ndarray, size: Size, shape: Size, stride: int = 8, wanted: Optional[Iterable[int]] = None
) -> np.ndarray:
    """(n, H, W) float32: which share of a cell's pixels is the object's; pixels beyond the image are not.

    masks (n, h, w) bool, resized to the image's `size` in the input first (bilinear, from a half on). wanted: objects
    of which the shares are asked for, the others stay 0.

    Raises ValueError: a map of `shape` does not cover the image.
    """
    height, width = (side * stride for side in shape)
    if height < size[0] or width < size[1]:
        raise ValueError(f"a map of {shape[0]} x {shape[1]} cells does not cover an input of {size[0]} x {size[1]}")
    shares = np.zeros((len(masks), *shape), np.float32)
    pixels = np.zeros((height, width), np.float32)
    for n in range(len(masks)) if wanted is None else wanted:
        mask = masks[n]
        if mask.shape != tuple(size):
            mask = cv2.resize(mask.astype(np.float32), (size[1], size[0]), interpolation=cv2.INTER_LINEAR) >= 0.5
        pixels[: size[0], : size[1]] = mask
        # Whole blocks of pixels: the mean of each.
        shares[n] = cv2.resize(pixels, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return shares


def window_targets(
    shares: np.ndarray, windows: np.ndarray, objects: np.ndarray, size: int = 21, thresh: float = 0.5
) -> np.ndarray:
    """(R, size, size) float32: 1 where a cell's share of the object reaches `thresh`, 0 elsewhere, NOTHING off the map.

    shares (n, H, W) of all objects. windows (R, 2) int: cy, cx of the centres. objects (R,) int: whose window it is.
    """
    half = size // 2
    windows = np.asarray(windows, np.int64).reshape(-1, 2)
    inside = (shares >= thresh).astype(np.float32)
    padded = np.pad(inside, ((0, 0), (half, half), (half, half)), constant_values=NOTHING)
    rows, columns = (windows[:, axis, None] + np.arange(size) for axis in (0, 1))
    return padded[np.asarray(objects, np.int64)[:, None, None], rows[:, :, None], columns[:, None, :]]
