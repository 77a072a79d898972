"""Pictures a user points at: files and folders on a command line, read the way viewers show them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import numpy as np

from fullconv.lib.dataset.image import open_picture, read_image

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
DEMO_FOLDER = "demo"


class UsageError(ValueError):
    """Nothing to work with; the text says what to give instead."""


def find_images(names: Sequence[str], recursive: bool = False, without: Optional[Path] = None) -> List[Path]:
    """Files as they are, and the images inside folders, sorted by name; without names those of ./demo. Each file once.

    recursive: look into folders inside of folders too, but not into hidden ones. without: a folder to leave out, where
    results go. Raises UsageError: an address, a path that does not exist, or no image at all.
    """
    paths: List[Path] = []
    address = next((name for name in names if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name)), None)
    if address is not None:
        raise UsageError(f"{address}: an address; nothing is fetched here: download it and name the file")
    for path in map(Path, names or [DEMO_FOLDER]):
        if path.is_dir():
            paths += _images_in(path, recursive, without)
        elif path.is_file():
            paths.append(path)
        elif names:
            raise UsageError(f"{path}: no such file or folder")
        else:
            raise UsageError(f"no image given and no folder {path}/: name images, or put some into {path}/")
    if not paths:
        deeper = "" if recursive else "; --recursive looks into folders inside of folders"
        known = ", ".join(sorted(SUFFIXES))
        raise UsageError(f"no image in {', '.join(names) or DEMO_FOLDER}: known are {known}{deeper}")
    return list({path.resolve(): path for path in reversed(paths)}.values())[::-1]


def _images_in(folder: Path, recursive: bool, without: Optional[Path]) -> List[Path]:
    found = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]
    inner = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".") and not p.is_symlink()]
    if without is not None:
        inner = [p for p in inner if p.resolve() != without.resolve()]
    deeper = [image for p in sorted(inner) for image in _images_in(p, True, without)] if recursive else []
    return sorted(found) + deeper


def distinct_names(paths: Sequence[Path]) -> Dict[Path, str]:
    """Names that tell pictures apart: the file's, with as many of the folders before it as that takes.

    Different files of one name have different folders, so whole paths always do.
    """
    names = {path: path.name for path in paths}
    for depth in range(2, 2 + max((len(path.parts) for path in paths), default=0)):
        counts = Counter(name.lower() for name in names.values())
        same = [path for path, name in names.items() if counts[name.lower()] > 1]
        names.update({path: "/".join(part for part in path.parts[-depth:] if part != "/") for path in same})
    return names


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
