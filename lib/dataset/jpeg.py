"""Damage inside of a JPEG that decoders paint over: libjpeg warns on the error stream, and OpenCV returns the picture.

A walk through the Huffman codes tells: they must make as many blocks as the picture has, and end where the next marker
is. It costs a third of the decoding, whereas a second decoder would cost all of it, and Pillow is as silent.
What stays unseen is a change after which the codes find their places again, within a block at the end.
"""

from __future__ import annotations

try:
    from fullconv.lib.dataset._jpeg_scan import DAMAGED, check
except ImportError as error:
    raise ImportError(
        f"fullconv.lib.dataset._jpeg_scan is not compiled for this Python ({error}): run `sh init.sh` or "
        "`python setup.py build_ext --inplace`"
    ) from error


def is_damaged(data: bytes) -> bool:
    """Whether codes are missing, left over or wrong. False for what is not walked through (arithmetic coding, ...)."""
    return check(data) == DAMAGED


def scans(data: bytes) -> int:
    """Scans of a JPEG of whatever kind, which are passes over the picture, up to its end marker."""
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
        at += 1 if data[at + 1 : at + 2] == b"\xff" else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    # Among the codes 0xFF is followed by a marker or by 0, so from the first scan on nothing else looks like one.
    end = data.find(b"\xff\xd9", at)
    return data.count(b"\xff\xda", at, end if end >= 0 else len(data))
