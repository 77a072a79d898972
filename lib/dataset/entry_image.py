"""The image of an entry, which must be as large as its annotations say."""

from __future__ import annotations

import numpy as np

from fullconv.lib.dataset.image import read_image
from fullconv.lib.structures.entry import Entry


def read_entry_image(entry: Entry) -> np.ndarray:
    """The image (h, w, 3) uint8 BGR. Raises ImageError, and ValueError when it is not as large as the entry says."""
    image = read_image(entry.image)
    if image.shape[:2] != entry.size:
        raise ValueError(
            f"{entry.image}: the file is {image.shape[1]}x{image.shape[0]} but the annotation says "
            f"{entry.width}x{entry.height}; annotate the file that is there, or restore the original image"
        )
    return image
