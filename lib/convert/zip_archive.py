"""Zip archives as PyTorch writes them: stored, not compressed, each record one block of the file.

Read here rather than by `zipfile` so that a record is a checked slice of the mapped file, nothing is unpacked, and the
directory is refused before it fills the memory. (PKWARE's APPNOTE, sections 4.3 and 4.4.)
"""

from __future__ import annotations

import mmap
import struct
import zlib
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

from fullconv.lib.utils.atomic import Writable

MAX_RECORDS, MAX_NAME = 50_000, 1000
UNKNOWN_16, UNKNOWN_32 = 0xFFFF, 0xFFFFFFFF
ALIGNMENT = 64

LOCAL, CENTRAL, END = "<4s5HIIIHH", "<4s6HIIIHHHHHII", "<4s4HIIH"
END_64, LOCATOR_64 = "<4sQ2H2I4Q", "<4sIQI"
STORED, ENCRYPTED = 0, 1


class ZipError(ValueError):
    """No zip archive, a damaged one, or one that PyTorch would not have written."""


class Record(NamedTuple):
    """Where a record's bytes are, and their checksum."""

    start: int
    size: int
    crc: int


class Archive:
    """The records of a mapped zip file by name.

    Raises:
        ZipError: truncated, compressed, encrypted, overlapping, with a name twice or one that leaves its folder.
    """

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.records: Dict[str, Record] = {}
        count, size, place = self._end()
        self._read_directory(count, place, place + size)
        self._check_overlap(place)

    def read(self, name: str) -> memoryview:
        """Bytes of a record, once they match their checksum; a view of the file.

        Raises:
            ZipError: no such record, or its content changed.
        """
        if name not in self.records:
            raise ZipError(f"damaged: no record {name[:200]!r}")
        record = self.records[name]
        view = memoryview(self.data)[record.start : record.start + record.size]
        if zlib.crc32(view) != record.crc:
            raise ZipError(f"damaged: the checksum of record {name!r} is wrong")
        return view

    def _unpack(self, layout: str, place: int, sign: bytes) -> Tuple[Any, ...]:
        if not 0 <= place <= len(self.data) - struct.calcsize(layout):
            raise ZipError(f"truncated: nothing at byte {place}")
        fields = struct.unpack_from(layout, self.data, place)
        if fields[0] != sign:
            raise ZipError(f"damaged at byte {place}")
        return fields[1:]

    def _end(self) -> Tuple[int, int, int]:
        """Number of records, the directory's size and place. PyTorch appends no comment: the end is at the end."""
        place = len(self.data) - struct.calcsize(END)
        try:
            _, _, _, count, size, start, comment = self._unpack(END, place, b"PK\x05\x06")
        except ZipError:
            raise ZipError("truncated: the archive has no end") from None
        # Then the true numbers stand in the 64-bit record, which the locator in front of this one points to.
        if UNKNOWN_16 == count or UNKNOWN_32 in (size, start):
            place -= struct.calcsize(LOCATOR_64)
            _, place, _ = self._unpack(LOCATOR_64, place, b"PK\x06\x07")
            *_, count, size, start = self._unpack(END_64, place, b"PK\x06\x06")
        if comment or count > MAX_RECORDS or start + size > place:
            raise ZipError(f"damaged: a directory of {count} records in {size} bytes at byte {start}")
        return count, size, start

    def _read_directory(self, count: int, place: int, end: int) -> None:
        for _ in range(count):
            fields = self._unpack(CENTRAL, place, b"PK\x01\x02")
            _, _, flags, method, _, _, crc, packed, size, name_size, extra, comment, _, _, _, start = fields
            place += struct.calcsize(CENTRAL)
            name = _name(self.data[place : place + name_size])
            place += name_size + extra + comment
            if method != STORED or packed != size or flags & ENCRYPTED:
                raise ZipError(f"record {name!r} is compressed or encrypted, which PyTorch never does")
            if UNKNOWN_32 in (size, start):
                raise ZipError(f"record {name!r} lies beyond 4 GB")
            if name in self.records:
                raise ZipError(f"damaged: two records {name!r}")
            self.records[name] = self._record(name, start, size, crc)
        if place != end:
            raise ZipError(f"damaged: the directory ends at byte {place}, not {end}")

    def _record(self, name: str, place: int, size: int, crc: int) -> Record:
        """The local header may be padded otherwise than the directory says, so that data are aligned."""
        *_, name_size, extra = self._unpack(LOCAL, place, b"PK\x03\x04")
        place += struct.calcsize(LOCAL)
        if self.data[place : place + name_size] != name.encode():
            raise ZipError(f"damaged: record {name!r} has another name at byte {place}")
        return Record(place + name_size + extra, size, crc)

    def _check_overlap(self, end: int) -> None:
        """Records that share bytes let a small file hold any number of large ones."""
        last = 0
        for name, record in sorted(self.records.items(), key=lambda item: item[1]):
            if record.start < last or record.start + record.size > end:
                raise ZipError(f"damaged: record {name!r} overlaps another or the directory")
            last = record.start + record.size


def _name(raw: bytes) -> str:
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        raise ZipError(f"damaged: a record called {raw[:50]!r}") from None
    if not name or name.startswith("/") or ".." in name.split("/") or set("\\\0:") & set(name):
        raise ZipError(f"a record called {name[:200]!r}, which leaves its folder")
    if len(name) > MAX_NAME:
        raise ZipError(f"damaged: a name of {len(name)} letters")
    return name


# ------------------------------------------------------------------------------------------------ writing


def write(file: Writable, records: Mapping[str, Any]) -> None:
    """Write bytes-like records by name, each aligned to 64 bytes as PyTorch aligns them.

    Raises:
        ZipError: more than 65535 records or 4 GB, where PyTorch's newer fields would be needed.
    """
    directory: List[bytes] = []
    place = 0
    for name, content in records.items():
        view = memoryview(content).cast("B")
        encoded, crc = name.encode(), zlib.crc32(view)
        _check_size(len(directory), place + len(view))
        # 4 are the two numbers at the head of the padding's own field.
        padding = -(place + struct.calcsize(LOCAL) + len(encoded) + 4) % ALIGNMENT
        common = (0, 0, STORED, 0, 0, crc, len(view), len(view), len(encoded))
        # PyTorch's own mark for a field that only pads.
        extra = struct.pack("<2sH", b"FB", padding) + bytes(padding)
        file.write(struct.pack(LOCAL, b"PK\x03\x04", *common, len(extra)) + encoded + extra)
        file.write(view)
        directory.append(struct.pack(CENTRAL, b"PK\x01\x02", 0, *common, 0, 0, 0, 0, 0, place) + encoded)
        place += struct.calcsize(LOCAL) + len(encoded) + len(extra) + len(view)
    listing = b"".join(directory)
    _check_size(len(directory), place + len(listing))
    end = struct.pack(END, b"PK\x05\x06", 0, 0, len(directory), len(directory), len(listing), place, 0)
    file.write(listing + end)


def _check_size(count: int, size: int) -> None:
    # A little below the limit, for the end of the archive.
    if count >= UNKNOWN_16 or size >= UNKNOWN_32 - 1024:
        raise ZipError(f"{count} records in {size} bytes; the form written here ends at 65534 records and 4 GB")
