"""Zip archives as PyTorch writes them, and those that a hostile hand does."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile

import numpy as np
import pytest

from fullconv.lib.convert import torch_file, zip_archive
from fullconv.lib.convert.errors import ConvertError

PICKLED = b"\x80\x02}."


def archive(records, **options):
    """A zip file by Python's own writer; records: (name, content) pairs."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that stand twice
        for name, content in records:
            made.writestr(name, content)
    return file.getvalue()


def with_start(content, index, start):
    """Let record `index` of the directory begin at another place."""
    place = -1
    for _ in range(index + 1):
        place = content.index(b"PK\x01\x02", place + 1)
    return content[: place + 42] + struct.pack("<I", start) + content[place + 46 :]


GOOD = [("a/data.pkl", PICKLED), ("a/data/0", b"12345678"), ("a/version", b"3\n")]
HOSTILE = {
    "compressed": lambda: (archive(GOOD, compression=zipfile.ZIP_DEFLATED), "compressed"),
    "bomb": lambda: (archive([("a/data.pkl", bytes(50_000_000))], compression=zipfile.ZIP_DEFLATED), "compressed"),
    "nested": lambda: (archive([("a/data.pkl", archive(GOOD))]), "asks for|unknown|nothing left|damaged"),
    "parent folder": lambda: (archive([*GOOD, ("a/../../etc/passwd", b"")]), "leaves its folder"),
    "root folder": lambda: (archive([*GOOD, ("/etc/passwd", b"")]), "leaves its folder"),
    "backslashes": lambda: (archive([*GOOD, ("a\\..\\b", b"")]), "leaves its folder"),
    "drive": lambda: (archive([*GOOD, ("c:/a", b"")]), "leaves its folder"),
    "twice": lambda: (archive([*GOOD, GOOD[0]]), "two records 'a/data.pkl'"),
    "long name": lambda: (archive([*GOOD, ("a" * 5000, b"")]), "a name of 5000"),
    "many records": lambda: (archive([*GOOD, *((f"a/{n}", b"") for n in range(51_000))]), "51003 records"),
    "comment": lambda: (archive(GOOD) + b"comment", "no end"),
    "another's name": lambda: (with_start(archive(GOOD), 1, 0), "has another name"),
    "start beyond the end": lambda: (with_start(archive(GOOD), 1, 2**31), "truncated"),
    "no pickle": lambda: (archive([("a/version", b"3")]), "0 records data.pkl"),
    "not in a folder": lambda: (archive([("data.pkl", PICKLED)]), "0 records data.pkl"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives(case, tmp_path, guarded):
    content, match = HOSTILE[case]()
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    error = guarded(torch_file.read, path)
    assert isinstance(error, ConvertError)
    with pytest.raises(ConvertError, match=match):
        torch_file.read(str(path))


def test_records_that_share_bytes():
    """A record inside of another: thousands of them would make a small file hold any number of large tensors."""
    inner = archive([("a/3", b"xy")])[: 30 + 3 + 2]
    content = archive([("a/1", inner), ("a/3", b"xy")])
    assert list(zip_archive.Archive(content).records) == ["a/1", "a/3"]
    with pytest.raises(zip_archive.ZipError, match="'a/3' overlaps another"):
        zip_archive.Archive(with_start(content, 1, 30 + 3))


def test_a_changed_byte_is_found():
    content = bytearray(archive(GOOD))
    content[content.index(b"12345678")] ^= 1
    made = zip_archive.Archive(bytes(content))
    assert bytes(made.read("a/version")) == b"3\n"
    with pytest.raises(zip_archive.ZipError, match="checksum of record 'a/data/0'"):
        made.read("a/data/0")
    with pytest.raises(zip_archive.ZipError, match="no record"):
        made.read("a/data/1")


def test_the_newer_end_record():
    """PyTorch always writes the fields for files beyond 4 GB as well, with the old ones saturated when it wants."""
    content = archive(GOOD)
    count, size, start = struct.unpack_from("<HII", content, len(content) - 12)
    end_64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, start + size, 1)
    end = struct.pack("<4s4HIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    made = zip_archive.Archive(content[: start + size] + end_64 + locator + end)
    assert list(made.records) == [name for name, _ in GOOD] and bytes(made.read("a/data/0")) == b"12345678"


def test_python_reads_what_is_written():
    file = io.BytesIO()
    zip_archive.write(file, {"a/data.pkl": PICKLED, "a/data/0": np.arange(5.0).data, "a/empty": b""})
    with zipfile.ZipFile(file) as made:
        assert made.testzip() is None and made.namelist() == ["a/data.pkl", "a/data/0", "a/empty"]
        assert made.read("a/data/0") == np.arange(5.0).tobytes()
    ours = zip_archive.Archive(file.getvalue())
    assert all(record.start % 64 == 0 for record in ours.records.values())


def test_too_many_records_are_not_written():
    with pytest.raises(zip_archive.ZipError, match="65534 records"):
        zip_archive.write(io.BytesIO(), {str(n): b"" for n in range(65_536)})
