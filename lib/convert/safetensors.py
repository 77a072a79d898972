"""`.safetensors` files: eight bytes of length, a json header, the numbers. (huggingface.co/docs/safetensors, "Format".)

Read and written here and not by the package of that name: the form takes a hundred lines, and a compiled dependency for
every Python version would be more to keep up than these.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.convert.mapped import instead, open_mapped
from fullconv.lib.convert.pickled_arrays import is_shape
from fullconv.lib.utils import atomic

MAX_HEADER = 1 << 20
"""A header of 600 arrays has 80 kB; json takes up to forty times its size in memory."""

DTYPES = {
    "F64": "f8",
    "F32": "f4",
    "F16": "f2",
    "BF16": "u2",
    "I64": "i8",
    "I32": "i4",
    "I16": "i2",
    "I8": "i1",
    "U64": "u8",
    "U32": "u4",
    "U16": "u2",
    "U8": "u1",
    "BOOL": "?",
}
CODES = {np.dtype(code): name for name, code in DTYPES.items() if name != "BF16"}


class _FormatError(ValueError):
    """The bytes are not what the form says."""


def read(path: str) -> Dict[str, np.ndarray]:
    """Arrays by name, in the file's order. bfloat16 becomes float32.

    Raises:
        FileNotFoundError: no such file.
        ConvertError: foreign, truncated, or a header whose sizes do not add up.
    """
    data = open_mapped(path)
    try:
        header, start = _header(data)
        entries = sorted(((*_entry(name, entry), name) for name, entry in header.items()), key=lambda e: e[:2])
        _check_cover(entries, len(data) - start)
        return {name: _array(data, start + begin, dtype, shape) for begin, _, dtype, shape, name in entries}
    except (_FormatError, RecursionError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConvertError(f"{path}: no safetensors file: {error}; fetch it again") from None


def _header(data: mmap.mmap) -> Tuple[Dict[str, Any], int]:
    """The header's entries, and where the numbers start."""
    # A file of less than eight bytes becomes one of an impossible length.
    size = struct.unpack("<Q", data[:8].ljust(8, b"\xff"))[0]
    if size > MAX_HEADER or data[8:9] != b"{":
        raise _FormatError(instead(data))
    if 8 + size > len(data):
        raise _FormatError(f"truncated: a header of {size} bytes where {len(data) - 8} are left")
    text = data[8 : 8 + size].decode()
    header = json.loads(
        text, object_pairs_hook=_unique, parse_int=_integer, parse_float=_refuse, parse_constant=_refuse
    )
    # Notes of the writer, not an array.
    header.pop("__metadata__", None)
    return header, 8 + size


def _unique(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _FormatError("damaged: a name stands twice in the header")
    return dict(pairs)


def _integer(text: str) -> int:
    """Python takes minutes to read a number of a million digits."""
    return int(text) if len(text) < 16 else _refuse(text)


def _refuse(text: str) -> Any:
    raise _FormatError(f"damaged: {text[:20]} in the header")


def _entry(name: str, entry: Any) -> Tuple[int, int, str, Tuple[int, ...]]:
    """(begin, end, type, shape) of an array, once they agree."""
    fields = entry if type(entry) is dict and set(entry) == {"dtype", "shape", "data_offsets"} else {"dtype": None}
    dtype = fields["dtype"]
    if type(dtype) is not str or dtype not in DTYPES:
        raise _FormatError(f"array {name[:100]!r}: a type other than {', '.join(DTYPES)}")
    shape, offsets = (
        tuple(part) if isinstance(part, list) else () for part in (fields["shape"], fields["data_offsets"])
    )
    if not is_shape(shape) or not is_shape(offsets) or len(offsets) != 2:
        raise _FormatError(f"array {name[:100]!r}: damaged shape or offsets")
    size = math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
    if offsets[1] - offsets[0] != size:
        raise _FormatError(
            f"array {name[:100]!r}: shape {shape} takes {size} bytes, the file has {offsets[1] - offsets[0]}"
        )
    return offsets[0], offsets[1], dtype, shape


def _check_cover(entries: List[Tuple[int, int, str, Tuple[int, ...], str]], size: int) -> None:
    """Arrays follow each other without a gap or an overlap, up to the end: nothing is hidden, nothing read twice."""
    place = 0
    for begin, end, *_, name in entries:
        if begin != place:
            raise _FormatError(f"array {name[:100]!r} begins at byte {begin} of the numbers, and {place} is its turn")
        place = end
    if place != size:
        raise _FormatError(
            f"{'truncated' if place > size else 'damaged'}: {place} bytes of numbers, the file has {size}"
        )


def _array(data: mmap.mmap, start: int, dtype: str, shape: Tuple[int, ...]) -> np.ndarray:
    # Bytes first: astype makes True of any that is not 0, and a bool of another byte would break numpy.
    code = "u1" if dtype == "BOOL" else DTYPES[dtype]
    flat = np.frombuffer(data, "<" + code, math.prod(shape), start) if 0 not in shape else np.zeros(0, code)
    if dtype == "BF16":
        # bfloat16 is the upper half of a float32.
        flat = (flat.astype("u4") << 16).view("f4")
    return flat.astype("f4" if dtype == "BF16" else DTYPES[dtype]).reshape(shape)


def write(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name, wide types first so that all are aligned; the file is whole or as it was before.

    Raises:
        ConvertError: a type the form lacks, the name `__metadata__`, a header too long to be read, or a full disk.
    """
    for name, array in arrays.items():
        if array.dtype.newbyteorder("=") not in CODES or name == "__metadata__":
            raise ConvertError(f"{path}: not written: {name} ({array.dtype}) has no place in this form; convert it")
    order = sorted(arrays, key=lambda name: -arrays[name].dtype.itemsize)
    text = _listing(arrays, order)
    if len(text) > MAX_HEADER:
        raise ConvertError(f"{path}: not written: {len(arrays)} names take {len(text)} bytes, more than {MAX_HEADER}")

    def fill(file: atomic.Writable) -> None:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            file.write(np.ascontiguousarray(arrays[name], arrays[name].dtype.newbyteorder("<")).tobytes())

    try:
        atomic.write(path, fill)
    except OSError as error:
        raise ConvertError(f"{path}: cannot be written: {error.strerror}; nothing was left behind") from None


def _listing(arrays: Mapping[str, np.ndarray], order: Sequence[str]) -> bytes:
    """The header of arrays that follow each other in `order`, padded so that the numbers start at a multiple of 8."""
    header: Dict[str, Any] = {}
    place = 0
    for name in order:
        array = arrays[name]
        code = CODES[array.dtype.newbyteorder("=")]
        header[name] = {"dtype": code, "shape": array.shape, "data_offsets": (place, place + array.nbytes)}
        place += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return text + b" " * (-len(text) % 8)
