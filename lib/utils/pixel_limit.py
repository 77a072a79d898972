"""How many pixels an image may have."""

from __future__ import annotations

import os

DEFAULT_MAX_PIXELS = 10**8


def max_pixels() -> int:
    """Pixels from which an image is refused: FULLCONV_MAX_PIXELS, looked up now, else DEFAULT_MAX_PIXELS.

    Raises ValueError: the variable holds no positive number.
    """
    text = os.environ.get("FULLCONV_MAX_PIXELS", "")
    if text and not (text.isdecimal() and int(text)):
        raise ValueError(f"FULLCONV_MAX_PIXELS is {text!r}: set it to a number of pixels, or unset it")
    return int(text or DEFAULT_MAX_PIXELS)
