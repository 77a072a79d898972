"""From an image to the network's input: resizing, mirroring, means, padding (the original's transforms)."""

from __future__ import annotations

from typing import Iterable, NamedTuple, Sequence, Tuple

import numpy as np
from PIL import Image

from fullconv.lib.dataset.image import ImageError
from fullconv.lib.structures.entry import Entry

Size = Tuple[int, int]
"""(height, width)."""


class InputSpec(NamedTuple):
    """How an image becomes input.

    min_sizes: short sides, one drawn per image in training, the first in testing. max_size: of the long side. means,
    stds: of the channels in the network's order. bgr255: blue, green, red from 0 to 255; else red, green, blue from 0
    to 1. divisor: sides are padded to a multiple of it. flip: probability of mirroring, in training.
    """

    min_sizes: Tuple[int, ...] = (800,)
    max_size: int = 1333
    means: Tuple[float, ...] = (102.9801, 115.9465, 122.7717)
    stds: Tuple[float, ...] = (1.0, 1.0, 1.0)
    bgr255: bool = True
    divisor: int = 32
    flip: float = 0.0

    @property
    def largest(self) -> Size:
        """(height, width) of a wide image at the largest short side, padded."""
        return padded((max(self.min_sizes), self.max_size), self.divisor)


class Drawn(NamedTuple):
    """What is random about an input."""

    min_size: int
    flipped: bool


def draw(spec: InputSpec, seed: int) -> Drawn:
    """Short side and mirroring of a training image."""
    rng = np.random.RandomState(seed)
    return Drawn(spec.min_sizes[rng.randint(len(spec.min_sizes))], bool(rng.uniform() < spec.flip))


def resized_size(size: Size, min_size: int, max_size: int) -> Size:
    """(height, width) with `min_size` as the short side unless the long one would exceed `max_size`.

    Rounds as the original does, down at the long side, so that after a limited short side, which is rounded to the
    nearest, the long one may exceed `max_size` by some pixels.
    """
    short, long = float(min(size)), float(max(size))
    if long / short * min_size > max_size:
        min_size = int(round(max_size * short / long))
    height, width = size
    if min(size) == min_size:
        return size
    if width < height:
        return int(min_size * height / width), min_size
    return min_size, int(min_size * width / height)


def padded(size: Size, divisor: int) -> Size:
    """Sides rounded up to multiples of `divisor`; 0 leaves them."""
    height, width = (-(-side // divisor) * divisor if divisor else side for side in size)
    return height, width


def resized_boxes(boxes: np.ndarray, before: Size, after: Size, flipped: bool = False) -> np.ndarray:
    """Boxes (n, 4) of an image of size `before` in the frame of `after`, mirrored there."""
    ratios = np.array([after[1] / before[1], after[0] / before[0]] * 2, np.float32)
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4) * ratios
    return mirrored_boxes(boxes, after[1]) if flipped else boxes


def mirrored_boxes(boxes: np.ndarray, width: int) -> np.ndarray:
    """Boxes (n, 4) in the mirror image of one `width` pixels wide: x1' = w - x2 - 1 (original)."""
    mirrored = boxes.copy()
    mirrored[:, 0::2] = np.float32(width) - boxes[:, 2::-2] - np.float32(1)
    return mirrored


def prepare(image: np.ndarray, spec: InputSpec, size: Size, flipped: bool = False) -> np.ndarray:
    """A BGR image (h, w, 3) uint8 as input (3, H, W) float32: resized to `size`, then mirrored, zeros at its ends.

    PIL's bilinear filter, which averages when it shrinks; OpenCV's gives other numbers. The padding is put on after the
    means are subtracted, so that it is 0 to the network.
    """
    if image.shape[:2] != size:
        image = np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))
    if flipped:
        image = image[:, ::-1]
    pixels = image.astype(np.float32) if spec.bgr255 else image[..., ::-1].astype(np.float32) / np.float32(255)
    pixels = (pixels - np.array(spec.means, np.float32)) / np.array(spec.stds, np.float32)
    tensor = np.zeros((3, *padded(size, spec.divisor)), np.float32)
    tensor[:, : size[0], : size[1]] = pixels.transpose(2, 0, 1)
    return tensor


def check_size(size: Sequence[int], spec: InputSpec, name: str) -> None:
    """Raises ImageError when nothing is left of the short side of an image of `size` (h, w)."""
    for min_size in {min(spec.min_sizes), max(spec.min_sizes)}:
        height, width = resized_size((size[0], size[1]), min_size, spec.max_size)
        if min(height, width) < 1:
            raise ImageError(
                f"{name}: {size[1]}x{size[0]} is too long and thin: with a long side of {spec.max_size} nothing is "
                "left of the short one; cut it into pieces or leave it out"
            )


def check_sizes(entries: Iterable[Entry], spec: InputSpec) -> None:
    """Refuse images that `check_size` refuses before any work is done on the others."""
    for entry in entries:
        check_size(entry.size, spec, entry.image)
