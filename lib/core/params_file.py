"""The `.params` file format: MXNet's named list of arrays, checked and written without MXNet.

MXNet's own reader believes the sizes in a damaged header, and its writer does not say when the disk is full.
So files are walked from end to end before MXNet reads them, and written here, byte for byte as `mx.nd.save`
writes them (`src/ndarray/ndarray.cc`, MXNet 1.9.1).

Layout, little endian: u64 0x112, u64 0, u64 count, the arrays, u64 count, the names (u64 length, bytes).
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO, Dict, List, Mapping, NamedTuple, Tuple

import numpy as np

from fullconv.lib.utils.atomic import Writable

LIST_MAGIC = 0x112
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
DTYPES = tuple(map(np.dtype, ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")))
MAX_DIMS, MAX_NAME, MAX_ARRAYS = 32, 4096, 50_000

FOREIGN = (
    (b"PK\x03\x04", "a zip archive or PyTorch file"),
    (b"\x80", "a Python pickle"),
    (b"version https://git-lfs", "a git LFS pointer: fetch the real file with `git lfs pull`"),
    (b"<", "a web page: the download failed"),
    (b"\x1f\x8b", "a gzip file: unpack it first"),
    (b"\x89HDF", "an HDF5 file"),
)


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, written or used; the text names the file and the remedy."""


class ParamsFileError(CheckpointError):
    """The bytes are not a complete `.params` file; the text says what they look like instead."""


class Entry(NamedTuple):
    """Shape and type of one array in a file."""

    shape: Tuple[int, ...]
    dtype: np.dtype


def scan(path: str) -> Dict[str, Entry]:
    """Names, shapes and types of all arrays, read from the headers only.

    Raises:
        ParamsFileError: the file is foreign, truncated, or its sizes do not add up.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        walker = _Walker(file, os.path.getsize(path))
        walker.check_magic()
        # An array takes at least its version, a name its length: no more of them can be there than fit into the file.
        entries = [walker.array() for _ in range(walker.count(least_bytes=4))]
        names = [walker.name() for _ in range(walker.count(least_bytes=8))]
    if walker.left:
        raise ParamsFileError(f"{walker.left} bytes follow the last name")
    if len(names) != len(entries) or len(set(names)) != len(names):
        raise ParamsFileError(f"{len(entries)} arrays have {len(set(names))} names")
    return dict(zip(names, entries))


def write(file: Writable, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays in the form of `mx.nd.save` (version 2, dense, CPU).

    Raises:
        ParamsFileError: an array without elements or of a type MXNet lacks.
        OSError: the disk is full or the file cannot be written.
    """
    file.write(struct.pack("<QQQ", LIST_MAGIC, 0, len(arrays)))
    for name, array in arrays.items():
        # MXNet without its numpy mode takes a length of 0 and a shape of no lengths for "not known yet".
        if array.size == 0 or array.ndim == 0 or array.dtype not in DTYPES:
            raise ParamsFileError(f"{name}: {array.dtype} array of shape {array.shape} cannot be stored")
        # 0: dense.
        file.write(struct.pack(f"<Iii{array.ndim}q", V2, 0, array.ndim, *array.shape))
        # 1, 0: the device, mx.cpu(0).
        file.write(struct.pack("<iii", 1, 0, DTYPES.index(array.dtype)))
        # Memory as it is, without a copy in Python's bytes: arrays may be hundreds of megabytes.
        file.write(np.ascontiguousarray(array).data.cast("B"))
    file.write(struct.pack("<Q", len(arrays)))
    for name in arrays:
        encoded = name.encode()
        file.write(struct.pack("<Q", len(encoded)) + encoded)


class _Walker:
    """Reads headers and skips data, never past the end of the file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.left = file, size

    def take(self, layout: str) -> Tuple[int, ...]:
        size = struct.calcsize(layout)
        return struct.unpack(layout, self.bytes(size))

    def bytes(self, size: int) -> bytes:
        self._spend(size)
        return self.file.read(size)

    def skip(self, size: int) -> None:
        self._spend(size)
        self.file.seek(size, os.SEEK_CUR)

    def _spend(self, size: int) -> None:
        if size > self.left:
            raise ParamsFileError(f"truncated: {size} bytes expected where {self.left} are left")
        self.left -= size

    def check_magic(self) -> None:
        head = self.file.read(24)
        self.file.seek(0)
        for start, what in FOREIGN:
            if head.startswith(start):
                raise ParamsFileError(f"this is {what}")
        if not head:
            raise ParamsFileError("the file is empty")
        # The second number is reserved, and MXNet writes 0.
        if self.take("<QQ") != (LIST_MAGIC, 0):
            raise ParamsFileError("this is no MXNet parameter file")

    def count(self, least_bytes: int) -> int:
        (count,) = self.take("<Q")
        if count * least_bytes > self.left:
            raise ParamsFileError(f"damaged: {count} entries cannot fit in {self.left} bytes")
        # Fifty times what the largest networks have with their momentum. An array takes a kilobyte, however small.
        if count > MAX_ARRAYS:
            raise ParamsFileError(f"{count} arrays, more than {MAX_ARRAYS}, which no network has")
        return count

    def array(self) -> Entry:
        (version,) = self.take("<I")
        if version in (V2, V3) and self.take("<i") != (0,):
            raise ParamsFileError("sparse arrays are not supported")
        shape = self._shape(version)
        if not shape:
            raise ParamsFileError("damaged: an array without shape")
        _, _, flag = self.take("<iii")
        if not 0 <= flag < len(DTYPES):
            raise ParamsFileError(f"damaged: unknown array type {flag}")
        size = DTYPES[flag].itemsize
        # In Python's integers, which a damaged shape cannot overflow.
        for length in shape:
            size *= length
        self.skip(size)
        return Entry(shape, DTYPES[flag])

    def _shape(self, version: int) -> Tuple[int, ...]:
        """Files before MXNet 1.0 have no version word: the number of dimensions stands in its place."""
        # No network has an array of 0xF993FAC8 dimensions, which is how MXNet tells them apart too.
        old = version not in (V1, V2, V3)
        ndim = version if old else self.take("<i")[0]
        if not 0 <= ndim <= MAX_DIMS:
            raise ParamsFileError(f"damaged: an array with {ndim} dimensions")
        shape: List[int] = list(self.take(f"<{ndim}{'I' if old else 'q'}"))
        if any(length <= 0 for length in shape):
            raise ParamsFileError(f"damaged: an array of shape {tuple(shape)}")
        return tuple(shape)

    def name(self) -> str:
        (length,) = self.take("<Q")
        if length > MAX_NAME:
            raise ParamsFileError(f"damaged: a name of {length} bytes")
        try:
            return self.bytes(length).decode()
        except UnicodeDecodeError:
            raise ParamsFileError("damaged: a name is not text") from None
