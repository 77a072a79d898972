"""The arguments of a pickle's opcodes: numbers, text and lines, never more of them than the file has."""

from __future__ import annotations

import codecs
import mmap
import struct
from typing import Any, Union

import numpy as np

from fullconv.lib.convert.pickle_limits import PickleError

Data = Union[bytes, mmap.mmap]

LONG_LINE, LONG_NAME, LONG_TEXT = 40, 1000, 1 << 20
MAX_INTEGER_BYTES = 16


class PickleBytes:
    """A place in a pickle. Every method reads from there on and raises PickleError where the bytes are not enough."""

    def __init__(self, data: Data, place: int) -> None:
        self.data, self.place, self.size = data, place, len(data)

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if not 0 <= size <= self.size - self.place:
            raise PickleError(f"truncated: {size} bytes expected where {self.size - self.place} are left")
        self.place += size
        return self.data[self.place - size : self.place]

    def byte(self) -> int:
        """What `take(1)` gives as a number; every opcode is one, so this is most of the time that reading takes."""
        place = self.place
        if place >= self.size:
            raise PickleError("truncated: the file ends inside of a pickle")
        self.place = place + 1
        return self.data[place]

    def number(self, layout: str) -> Any:
        """One number in a layout of `struct`."""
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self, limit: int = LONG_LINE) -> bytes:
        """Bytes up to a line feed, which is skipped."""
        # No further than the limit: a line of a gigabyte costs nothing to refuse.
        end = self.data.find(b"\n", self.place, self.place + limit + 1)
        if end < 0:
            raise PickleError(f"damaged at byte {self.place}: no end of line within {limit} bytes")
        return self.take(end + 1 - self.place)[:-1]

    def text(self, size: int) -> str:
        """UTF-8. A long text of few wide letters would take four times its size, and no array is stored like that."""
        raw = self.take(size)
        # 0xC3 is the first byte of the last letters of Latin-1: up to there Python keeps a byte a letter.
        if size > LONG_TEXT and np.frombuffer(raw, np.uint8).max() > 0xC3:
            raise PickleError(f"a text of {size} bytes beyond Latin-1")
        return raw.decode()

    def integer(self, size: int) -> int:
        """Little endian, with a sign. PyTorch's magic number has ten bytes; nothing that is needed has more."""
        if size > MAX_INTEGER_BYTES:
            raise PickleError(f"an integer of {size} bytes")
        return int.from_bytes(self.take(size), "little", signed=True)

    def text_integer(self) -> int:
        """Digits on a line, which Python 2 ends with an L. Python takes minutes for a million of them."""
        return int(self.line().rstrip(b"L"))

    def text_bool_or_integer(self) -> int:
        """Protocol 0 writes True as 01."""
        line = self.line()
        return line == b"01" if line in (b"00", b"01") else int(line)

    def quoted(self) -> str:
        """A byte string of Python 2 as its repr."""
        line = self.line(self.size)
        if len(line) < 2 or line[:1] not in b"'\"" or line[-1:] != line[:1]:
            raise PickleError(f"damaged at byte {self.place}: a text without quotes")
        # What Python's own unpickler uses; unlike eval it can only make bytes.
        content: Any = codecs.escape_decode(line[1:-1])[0]
        return content.decode("latin-1")

    def protocol(self) -> None:
        """A version; the opcodes are the same in all of them."""
        version = self.byte()
        if version > 5:
            raise PickleError(f"pickle protocol {version}; 0 to 5 are read")

    def frame(self) -> None:
        """The size of what follows, which is of use to who reads from a pipe."""
        size = self.number("<Q")
        if size > self.size - self.place:
            raise PickleError(f"truncated: a frame of {size} bytes where {self.size - self.place} are left")
