"""Protocol buffer wire format: just enough to read and write Caffe's and ONNX's files without a schema compiler.

The reader walks over memory that is already mapped, copies nothing, and never believes a length that does not fit.
(protobuf.dev, "Encoding".)
"""

from __future__ import annotations

from typing import Any, Iterator, List, NamedTuple, Sequence, Tuple, Union

import numpy as np

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FIXED_SIZE = {FIXED64: 8, FIXED32: 4}


class WireError(ValueError):
    """Bytes that are no protocol buffer message."""


class Field(NamedTuple):
    """One field: its number, wire type, and an int (VARINT) or the bytes (a memoryview, all others) it holds."""

    number: int
    kind: int
    value: Any


MAX_FIELDS = 200_000
"""Fields a file may have. Real networks have thousands; a field takes two bytes of a file, some 300 bytes and three
microseconds here, so that without a limit a small file costs much memory and time."""


class Budget:
    """How many fields may still come."""

    def __init__(self, fields: int = MAX_FIELDS) -> None:
        self.left = fields

    def spend(self, count: int = 1) -> None:
        self.left -= count
        if self.left < 0:
            raise WireError(f"more than {MAX_FIELDS} fields: no network has so many")


def fields(message: memoryview, budget: Budget) -> Iterator[Field]:
    """The fields of a message in order.

    Raises:
        WireError: a field that is truncated or of an unknown type, or too many of them.
    """
    place, end = 0, len(message)
    while place < end:
        budget.spend()
        tag, place = _varint(message, place)
        number, kind = tag >> 3, tag & 7
        value: Any
        if kind == VARINT:
            value, place = _varint(message, place)
        else:
            if kind == BYTES:
                size, place = _varint(message, place)
            elif kind in FIXED_SIZE:
                size = FIXED_SIZE[kind]
            else:
                raise WireError(f"a field of wire type {kind}")
            if size > end - place:
                raise WireError(f"truncated: a field of {size} bytes where {end - place} are left")
            # A slice of a memoryview copies nothing.
            value, place = message[place : place + size], place + size
        if number == 0:
            raise WireError("a field with number 0")
        yield Field(number, kind, value)


def _varint(message: memoryview, place: int) -> Tuple[int, int]:
    """Value and the place after it. At most ten bytes, 64 bits."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise WireError("truncated inside a number")
        byte = message[place]
        place += 1
        # Seven bits a byte, the lowest first; the eighth says that more follow.
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            # Ten bytes have room for 70 bits; protobuf drops those above 64.
            return value & 0xFFFFFFFFFFFFFFFF, place
    raise WireError("a number of more than ten bytes")


def integers(field: Field, budget: Budget) -> List[int]:
    """A repeated integer field, packed or not."""
    # A field for each number or one for all of them: a reader has to take both, whatever the definition says.
    if field.kind == VARINT:
        return [field.value]
    if field.kind != BYTES:
        raise WireError(f"integers of wire type {field.kind}")
    values, place = [], 0
    while place < len(field.value):
        budget.spend()
        value, place = _varint(field.value, place)
        values.append(value)
    return values


def text(field: Field, limit: int = 1000) -> str:
    """A string field."""
    if field.kind != BYTES or len(field.value) > limit:
        raise WireError("a name that is no short text")
    try:
        return bytes(field.value).decode()
    except UnicodeDecodeError:
        raise WireError("a name that is not text") from None


def floats(field: Field, dtype: str) -> np.ndarray:
    """A packed repeated field of `<f4` or `<f8`, as a view of the file."""
    size = np.dtype(dtype).itemsize
    if field.kind != BYTES:
        raise WireError("numbers stored one by one (unpacked), as Caffe never does")
    if len(field.value) % size:
        raise WireError(f"truncated: {len(field.value)} bytes of {size}-byte numbers")
    return np.frombuffer(field.value, dtype)


# ------------------------------------------------------------------------------------------------ writing


def encode_varint(value: int) -> bytes:
    """A non-negative integer."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def head(number: int, size: int) -> bytes:
    """What stands in front of `size` bytes of field `number`."""
    return encode_varint(number << 3 | BYTES) + encode_varint(size)


def encode_text(number: int, value: str) -> bytes:
    """A string field."""
    encoded = value.encode()
    return head(number, len(encoded)) + encoded


def encode_int(number: int, value: int) -> bytes:
    """An integer field; a negative number takes ten bytes."""
    return encode_varint(number << 3 | VARINT) + encode_varint(value & 0xFFFFFFFFFFFFFFFF)


def encode_float(number: int, value: float) -> bytes:
    """A float field."""
    return encode_varint(number << 3 | FIXED32) + np.float32(value).astype("<f4").tobytes()


def size_of(parts: Sequence[Union[bytes, memoryview]]) -> int:
    """Bytes of a message that is kept in parts, so that large arrays need not be copied."""
    return sum(len(part) for part in parts)
