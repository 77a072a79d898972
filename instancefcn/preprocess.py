"""From an image to the network's input, at one of several sizes."""

from __future__ import annotations

from typing import Iterable, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from fullconv.lib.dataset.image import ImageError
from fullconv.lib.structures.entry import Entry

Size = Tuple[int, int]
"""(height, width)."""


class InputSpec(NamedTuple):
    """How an image becomes input.

    scales: short sides in pixels, or with `relative` factors on the image's own size; in training one is drawn for
    each image, in testing all are used. longest: of the long side, 0 for any. means: blue, green, red. stride: the
    input is padded to a multiple of it. flip: whether training images are mirrored by lot.
    """

    scales: Tuple[float, ...]
    longest: int = 0
    means: Tuple[float, ...] = (102.9801, 115.9465, 122.7717)
    stride: int = 8
    flip: bool = False
    relative: bool = False


def resized_size(size: Size, scale: float, spec: InputSpec) -> Size:
    """(height, width) of an image of `size` at one of the scales, the long side at most `spec.longest`."""
    factor = scale if spec.relative else scale / min(size)
    if spec.longest and max(size) * factor > spec.longest:
        factor = spec.longest / max(size)
    height, width = (int(round(side * factor)) for side in size)
    return height, width


def padded(size: Size, stride: int) -> Size:
    """Sides rounded up to multiples of `stride`."""
    height, width = (-(-side // stride) * stride for side in size)
    return height, width


def prepare(image: np.ndarray, spec: InputSpec, size: Size, flipped: bool = False) -> np.ndarray:
    """A BGR image (h, w, 3) uint8 as input (3, H, W) float32, blue, green, red less their means: resized to `size`,
    mirrored, padded with zeros, which are the mean colour, at its ends."""
    pixels: np.ndarray = image.astype(np.float32)
    if image.shape[:2] != size:
        pixels = cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    pixels = (pixels[:, ::-1] if flipped else pixels) - np.array(spec.means, np.float32)
    tensor = np.zeros((3, *padded(size, spec.stride)), np.float32)
    tensor[:, : size[0], : size[1]] = pixels.transpose(2, 0, 1)
    return tensor


def pyramid(image: np.ndarray, spec: InputSpec) -> Tuple[Tuple[np.ndarray, Size], ...]:
    """The inputs at all scales with the size of the image in each, smallest first."""
    sizes = [resized_size((image.shape[0], image.shape[1]), short, spec) for short in sorted(spec.scales)]
    return tuple((prepare(image, spec, size), size) for size in sizes)


def largest_input(entries: Iterable[Entry], spec: InputSpec) -> Size:
    """(height, width) of the largest input that these images can become."""
    sizes = (padded(resized_size(entry.size, max(spec.scales), spec), spec.stride) for entry in entries)
    return max(sizes, key=lambda size: size[0] * size[1])


def check_size(size: Sequence[int], spec: InputSpec, name: str) -> None:
    """Raises ImageError when nothing is left of the short side of an image of `size` (h, w), or it grows too large."""
    for short in (min(spec.scales), max(spec.scales)):
        height, width = resized_size((size[0], size[1]), short, spec)
        if min(height, width) < 1:
            raise ImageError(
                f"{name}: {size[1]}x{size[0]} is too long and thin: with a long side of {spec.longest} (MAX_SIZE) "
                "nothing is left of the short one; cut it into pieces or leave it out"
            )
        if max(height, width) > LONGEST:
            raise ImageError(
                f"{name}: {size[1]}x{size[0]} is too long and thin: at {short} of SCALES the long "
                f"one has {max(height, width)} pixels, more than {LONGEST}; cut it into pieces or set MAX_SIZE"
            )


LONGEST = 16384
"""Pixels of a side above which memory would run out before anything is said."""


def check_sizes(entries: Iterable[Entry], spec: InputSpec) -> None:
    """Refuse images that `check_size` refuses before any work is done on the others."""
    for entry in entries:
        check_size(entry.size, spec, entry.image)
