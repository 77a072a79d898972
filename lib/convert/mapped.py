"""Files of weights as memory that is mapped, and what a file is when it is not what its name says."""

from __future__ import annotations

import mmap
import os

from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.core.params_file import FOREIGN

SIGNS = (
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"\x12\x01\0\0\0\0\0\0", "an MXNet parameter file: let its name end in .params"),
    (8, b'{"', "a safetensors file: let its name end in .safetensors"),
    (257, b"ustar", "a tar archive, PyTorch's form before 2017: save it again with PyTorch 0.4 to 2.x"),
)


def open_mapped(path: str) -> mmap.mmap:
    """A file's content, read only; nothing is in memory before it is looked at.

    Raises:
        FileNotFoundError: no such file.
        ConvertError: the file is empty.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file")
    if os.path.getsize(path) == 0:
        raise ConvertError(f"{path}: the file is empty; fetch it again")
    with open(path, "rb") as file:
        # The mapping outlives the file object.
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def instead(data: mmap.mmap) -> str:
    """`this is ...` for the kinds of files that end up under a wrong name, else that the kind is unknown."""
    head = data[:512]
    for sign, what in FOREIGN:
        # A web page may begin with empty lines.
        if head.lstrip().startswith(sign):
            return f"this is {what}"
    for place, sign, what in SIGNS:
        if head[place:].startswith(sign):
            return f"this is {what}"
    return f"it starts with {head[:16]!r}"
