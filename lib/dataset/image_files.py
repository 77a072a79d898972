"""Pictures a user points at: files and folders on a command line, read the way viewers show them."""

from __future__ import annotations

from pathlib import Path
from typing import List, Sequence

import numpy as np

from fullconv.lib.dataset.image import open_picture, read_image

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
DEMO_FOLDER = "demo"


class UsageError(ValueError):
    """Nothing to work with; the text says what to give instead."""


def find_images(names: Sequence[str]) -> List[Path]:
    """Files as they are, and the images directly inside folders, sorted by name; without names those of ./demo.

    Raises UsageError: a path that does not exist, or no image at all.
    """
    paths: List[Path] = []
    for path in map(Path, names or [DEMO_FOLDER]):
        if path.is_dir():
            paths += sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
        elif path.is_file():
            paths.append(path)
        elif names:
            raise UsageError(f"{path}: no such file or folder")
        else:
            raise UsageError(f"no image given and no folder {path}/: name images, or put some into {path}/")
    if not paths:
        raise UsageError(f"no image in {', '.join(names) or DEMO_FOLDER}: known are {', '.join(sorted(SUFFIXES))}")
    return paths


def read_upright(path: Path) -> np.ndarray:
    """An image (h, w, 3) uint8 BGR, turned as its EXIF orientation says and as viewers show it. Raises ImageError."""
    image = read_image(str(path))
    with open_picture(path) as header:
        orientation = header.getexif().get(0x0112, 1)
    if orientation in (2, 3, 4):
        image = image[:: -1 if orientation > 2 else 1, :: -1 if orientation < 4 else 1]
    elif orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
        image = image[:: -1 if orientation > 6 else 1, :: -1 if orientation in (6, 7) else 1]
    return np.ascontiguousarray(image)
