"""Labels must keep their numbers: no JPEG, whatever it is called."""

from __future__ import annotations

import os

from PIL import Image

from fullconv.lib.dataset.errors import DatasetError

LOSSY = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_TEXT = "changes the values of a label: save labels as PNG, from what they were drawn with and not from this file"


def check_lossless(path: str) -> None:
    """DatasetError for a label that is a JPEG or WEBP by its name, and where one lies in the place of a missing PNG."""
    stem, ending = os.path.splitext(path)
    places = [path] if ending.lower() in LOSSY else [] if os.path.isfile(path) else [stem + end for end in LOSSY]
    for file in places:
        if file == path or os.path.isfile(file):
            raise DatasetError(f"{file}: {LOSSY[os.path.splitext(file)[1].lower()]} {_TEXT}")


def check_format(path: str, image: Image.Image) -> None:
    """DatasetError for a picture that is a JPEG or WEBP by its content."""
    if image.format in LOSSY.values():
        raise DatasetError(f"{path}: a {image.format} by its content, which {_TEXT}")
