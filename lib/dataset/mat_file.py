"""One numeric array of a MATLAB 5 file, a variable or a field of a struct, read without trusting the file.

`scipy.io.loadmat` crashes the interpreter on some damaged files; this reader checks every length, skips
what is not asked for, and so is also the faster one. Format: MathWorks, "MAT-File Format", Level 5.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Iterator

import numpy as np

SPARE_BYTES = 16 * 2**20
HEAD, MAX_VARIABLES = 512, 10_000
"""What a variable may take in memory, besides four times the size of its file: deflate makes a thousand bytes of one,
and a number of one byte may be declared to be a double, so that a small file could fill the memory."""
_MATRIX, _COMPRESSED = 14, 15  # data types with a meaning of their own
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_HDF5 = b"\x89HDF\r\n\x1a\n"
_STRUCT = 2  # array class
_NUMERIC = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}


class MatError(ValueError):
    """Not a MATLAB 5 file, damaged, too large in memory, or without the wanted field."""


@dataclass(frozen=True)
class _Matrix:
    """An array element: its class, dimensions and name, and the elements after these."""

    kind: int
    shape: tuple[int, ...]
    name: str
    rest: Iterator[tuple[int, memoryview]]


@dataclass(frozen=True)
class _File:
    """What is the same for all elements of a file: byte order, and how much of memory one may take."""

    order: str
    limit: int


def read_field(data: bytes, variable: str, field: str) -> np.ndarray:
    """`variable.field` of the bytes of a MATLAB 5 file: the numeric array of a 1 x 1 struct, in MATLAB's
    shape.

    Raises MatError saying what is wrong.
    """
    matrix, file = _find(data, variable)
    return _numeric(_struct_field(matrix, file.order, field), file, field)


def read_variable(data: bytes, variable: str) -> np.ndarray:
    """A numeric array of the bytes of a MATLAB 5 file, in MATLAB's shape. Raises MatError saying what is wrong."""
    matrix, file = _find(data, variable)
    return _numeric(matrix, file, variable)


def _open(data: bytes) -> _File:
    """Reads the header. MatError for other versions, each with its name."""
    if data.startswith((_HDF5, b"MATLAB 7.3")) or data[512:520] == _HDF5 or data[124:128] in (b"\0\2IM", b"\2\0MI"):
        raise MatError("it is of MATLAB's version 7.3, which is HDF5: load it in MATLAB and save it with `save -v7`")
    if len(data) < 128 or data[126:128] not in (b"IM", b"MI"):
        raise MatError("no MATLAB 5 header: save it with `save -v7`")
    return _File("<" if data[126:128] == b"IM" else ">", 4 * len(data) + SPARE_BYTES)


def _find(data: bytes, variable: str) -> tuple[_Matrix, _File]:
    """The element of a variable, and the file."""
    file, names = _open(data), []
    order = file.order
    for kind, content in _elements(memoryview(data)[128:], order, padded=False):
        name = None
        if kind == _COMPRESSED:
            # The name is in the first bytes of a variable; of others no more than those are unpacked.
            name = _name(_inflate(content, HEAD, whole=False), order)
            if name in (None, variable):
                kind, content = next(_elements(_inflate(content, file.limit), order), (0, memoryview(b"")))
        if name in (None, variable) and kind == _MATRIX:
            matrix = _matrix(content, order)
            if matrix.name == variable:
                return matrix, file
            name = matrix.name
        names += [name] if name is not None else []
        if len(names) > MAX_VARIABLES:
            raise MatError(f"more than {MAX_VARIABLES} variables")
    raise MatError(f"no variable {variable}, only {names[:20]}")


def _name(head: memoryview, order: str) -> str | None:
    """The name of a variable, of which the first bytes are given; None where it is not in them."""
    try:
        return _matrix(head[8:], order).name
    except MatError:
        return None


def _elements(data: memoryview, order: str, padded: bool = True) -> Iterator[tuple[int, memoryview]]:
    """The (data type, content) pairs in a run of elements; only compressed ones are not padded to 8 bytes."""
    position = 0
    while position + 8 <= len(data):
        kind, size = struct.unpack_from(order + "II", data, position)
        if kind >> 16:  # a small element: size and up to 4 bytes in one tag
            kind, size, start, end = kind & 0xFFFF, kind >> 16, position + 4, position + 8
        else:
            start = position + 8
            end = start + size + (-size % 8 if padded or kind != _COMPRESSED else 0)
        if start + size > min(end, len(data)):
            raise MatError("it is truncated or damaged: an element is longer than the file")
        yield kind, data[start : start + size]
        position = end


def _inflate(content: memoryview, limit: int, whole: bool = True) -> memoryview:
    """The bytes that `content` was packed from, at most `limit`; all of them if `whole`."""
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(content, limit)
    except zlib.error as error:
        raise MatError(f"it is damaged ({error})") from error
    if whole and not stream.eof:
        raise MatError(f"it is cut off, or a variable is larger than {limit} bytes: save labels as uint8")
    return memoryview(plain)


def _matrix(content: memoryview, order: str) -> _Matrix:
    rest = _elements(content, order)
    try:
        (_, flags), (_, dimensions), (_, name) = next(rest), next(rest), next(rest)
        kind = struct.unpack_from(order + "I", flags)[0] & 0xFF
        shape = struct.unpack(f"{order}{len(dimensions) // 4}i", dimensions)
    except (StopIteration, struct.error) as error:
        raise MatError("it is damaged: an array has no flags, dimensions or name") from error
    return _Matrix(kind, shape, bytes(name).decode("latin-1"), rest)


def _struct_field(matrix: _Matrix, order: str, field: str) -> _Matrix:
    if matrix.kind != _STRUCT or matrix.shape != (1, 1):
        raise MatError(f"{matrix.name} is not a 1 x 1 struct")
    try:
        length = struct.unpack(order + "i", next(matrix.rest)[1])[0]
        packed = bytes(next(matrix.rest)[1])
    except (StopIteration, struct.error) as error:
        raise MatError(f"it is damaged: struct {matrix.name} has no field names") from error
    starts = range(0, len(packed), length) if length > 0 else ()
    names = [packed[start : start + length].split(b"\0")[0].decode("latin-1") for start in starts]
    for name, (kind, content) in zip(names, matrix.rest):
        if name == field and kind == _MATRIX:
            return _matrix(content, order)
    raise MatError(f"{matrix.name} has no field {field}, only {names}")


def _numeric(matrix: _Matrix, file: _File, field: str) -> np.ndarray:
    kind, content = next(matrix.rest, (0, b""))
    if matrix.kind not in _NUMERIC or kind not in _DTYPES:
        raise MatError(f"{field} is not an array of plain numbers")
    stored = np.dtype(file.order + _DTYPES[kind])
    size = len(content) // stored.itemsize * np.dtype(_NUMERIC[matrix.kind]).itemsize
    if size > file.limit:
        raise MatError(f"{field} takes {size} bytes of memory, more than {file.limit}: save labels as uint8")
    if min(matrix.shape, default=-1) < 0 or np.prod(matrix.shape, dtype=float) * stored.itemsize != len(content):
        raise MatError(f"it is damaged: {field} should be {matrix.shape} but has {len(content)} bytes")
    values = np.frombuffer(content, stored).astype(_NUMERIC[matrix.kind])
    return np.ascontiguousarray(values.reshape(matrix.shape, order="F"))
