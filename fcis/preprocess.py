"""From an image to the network's input (original section 5.5)."""

from __future__ import annotations

from typing import Iterable, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from fullconv.lib.dataset.entry_image import read_entry_image
from fullconv.lib.dataset.image import ImageError, resize_image, resize_scale, to_tensor
from fullconv.lib.structures.entry import Entry

# 5 become 3, one window of the pooling; 4 become 2, which is none.
LEAST_SIDE = 5
"""Pixels of input that convolution and pooling of stride 2 at the start of a backbone need."""

Scale = Tuple[int, int]


class InputSpec(NamedTuple):
    """How an image becomes input. scales: (short side, longest long side), one drawn per image in training, the first
    in testing. means: blue, green, red. stride: the input is padded to a multiple of it; 0 pads nothing.
    """

    scales: Tuple[Scale, ...]
    means: Tuple[float, ...]
    stride: int = 0

    @property
    def largest(self) -> Scale:
        """(height, width) of a wide image at the largest scale, padded."""
        # A wide image stands for tall ones as well: it is as large, and memory is counted by size.
        short, long = max(self.scales, key=lambda scale: scale[0] * scale[1])
        if self.stride:
            # Rounded up, as the padding will be.
            short, long = (-(-side // self.stride) * self.stride for side in (short, long))
        return short, long


def prepare_input(image: np.ndarray, spec: InputSpec, scale: Scale) -> Tuple[np.ndarray, np.ndarray]:
    """A BGR image (h, w, 3) uint8 as input (3, H, W) float32, R, G, B, and im_info (3,) = H, W, scale."""
    image, factor = resize_image(image, *scale, spec.stride)
    tensor = to_tensor(image, spec.means)[0]
    return tensor, np.array([*tensor.shape[1:], factor], dtype=np.float32)


def load_input(
    entry: Entry, spec: InputSpec, rng: Optional[np.random.RandomState] = None
) -> Tuple[np.ndarray, np.ndarray]:
    """`prepare_input` of an entry's image, mirrored where it is; `rng` draws the scale, without it the first is taken.

    Raises ImageError, and ValueError when the file is not as large as the annotation says.
    """
    image = read_entry_image(entry)
    if entry.flipped:
        image = image[:, ::-1]
    # No draw for a single scale: the numbers that follow stay those of the published settings.
    drawn = rng.randint(len(spec.scales)) if rng is not None and len(spec.scales) > 1 else 0
    return prepare_input(image, spec, spec.scales[drawn])


def check_sizes(entries: Iterable[Entry], scales: Sequence[Scale]) -> None:
    """Refuse images that `check_elongation` refuses before any work is done on the others."""
    for entry in entries:
        check_elongation(entry.size, scales, entry.image)


def check_elongation(size: Sequence[int], scales: Sequence[Scale], name: str) -> None:
    """Raises ImageError when an image of `size` (h, w), resized, is too thin for the backbone's first layers."""
    for target, longest in scales:
        side = min(size) * resize_scale(size[0], size[1], target, longest)
        if side < LEAST_SIDE:
            raise ImageError(
                f"{name}: {size[1]}x{size[0]} is too long and thin: at SCALES [{target}, {longest}] {side:.1f} pixels "
                f"are left of its short side, the network needs {LEAST_SIDE}; cut it into pieces or leave it out"
            )
