"""The form as its description gives it, and headers that lie."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from fullconv.lib.convert import safetensors
from fullconv.lib.convert.errors import ConvertError


def made(header, numbers=b""):
    """A file by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def entry(begin, end, dtype="F32", shape=(2,)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def test_what_is_written_is_read(path, arrays):
    more = {**arrays, "scalar": np.array(5), "empty": np.zeros((0, 3), "f4"), "turned": np.arange(6.0).reshape(2, 3).T}
    safetensors.write(str(path), more)
    got = safetensors.read(str(path))
    assert set(got) == set(more)
    for name, array in more.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == array.dtype and got[name].shape == array.shape and got[name].flags.writeable


def test_the_package_reads_what_is_written(path, arrays):
    package = pytest.importorskip("safetensors.numpy", reason="the package is not needed and not installed")
    safetensors.write(str(path), arrays)
    for name, array in package.load_file(str(path)).items():
        np.testing.assert_array_equal(array, arrays[name])
    package.save_file(arrays, str(path))
    for name, array in safetensors.read(str(path)).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_the_bytes_of_a_small_file(path):
    safetensors.write(str(path), {"b": np.array([1, 2], "u1"), "a": np.array([1.5], "f4")})
    header = (
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}}'
    )
    header += b" " * (-len(header) % 8)
    assert path.read_bytes() == struct.pack("<Q", len(header)) + header + struct.pack("<f", 1.5) + b"\x01\x02"


def test_metadata_bfloat16_and_bools(path):
    header = {
        "__metadata__": {"format": "pt"},
        "half": entry(0, 4, "BF16"),
        "bool": entry(4, 7, "BOOL", (3,)),
    }
    path.write_bytes(made(header, struct.pack("<HH", 0x3FC0, 0xC000) + b"\0\1\2"))
    got = safetensors.read(str(path))
    assert got["half"].tolist() == [1.5, -2] and got["half"].dtype == "f4"
    assert got["bool"].view("u1").tolist() == [0, 1, 1] and list(got) == ["half", "bool"]


LIES = {
    "gap": ({"a": entry(4, 12)}, 12, "its turn"),
    "overlap": ({"a": entry(0, 8), "b": entry(4, 12)}, 12, "its turn"),
    "same bytes": ({"a": entry(0, 8), "b": entry(0, 8)}, 8, "its turn"),
    "bytes at the end": ({"a": entry(0, 8)}, 9, "damaged: 8 bytes of numbers, the file has 9"),
    "truncated": ({"a": entry(0, 8)}, 7, "truncated: 8 bytes"),
    "shape": ({"a": entry(0, 8, shape=(3,))}, 8, "takes 12 bytes, the file has 8"),
    "huge shape": ({"a": entry(0, 8, shape=(2**40, 2**40))}, 8, "takes"),
    "negative shape": ({"a": entry(0, 8, shape=(-1, -2))}, 8, "damaged shape"),
    "shape of text": ({"a": entry(0, 8, shape="12")}, 8, "damaged shape"),
    "shape of bools": ({"a": entry(0, 4, shape=(True,))}, 4, "damaged shape"),
    "backwards": ({"a": entry(8, 0)}, 8, "takes"),
    "negative offset": ({"a": entry(-8, 0)}, 8, "damaged shape or offsets"),
    "type": ({"a": entry(0, 8, "C64")}, 8, "a type other than"),
    "type of list": ({"a": entry(0, 8, ["F32"])}, 8, "a type other than"),
    "no entry": ({"a": 5}, 8, "a type other than"),
    "more fields": ({"a": {**entry(0, 8), "more": 1}}, 8, "a type other than"),
    "a name twice": (b'{"a":1,"a":2}', 0, "twice"),
    "long integer": (b'{"a":' + b"9" * 900_000 + b"}", 0, "in the header"),
    "NaN": (b'{"a":NaN}', 0, "in the header"),
    "float": (b'{"a":1.5}', 0, "in the header"),
    "deep": (b'{"a":' + b"[" * 500_000 + b"]" * 500_000 + b"}", 0, "recursion"),
    "many": (b'{"a":[' + b"{}," * 300_000 + b"{}]}", 0, "a type other than"),
    "no json": (b'{"a"', 0, "delimiter"),
    "no text": (b'{"\xff":1}', 0, "utf-8"),
}


@pytest.mark.parametrize("case", LIES)
def test_headers_that_lie(case, path, guarded):
    header, size, match = LIES[case]
    path.write_bytes(made(header, bytes(size)))
    assert isinstance(guarded(safetensors.read, path), ConvertError)
    with pytest.raises(ConvertError, match=match):
        safetensors.read(str(path))


@pytest.mark.parametrize(
    "content, match",
    [
        (b"", "empty"),
        (b"abc", "starts with"),
        (struct.pack("<Q", 2**63) + b"{}", "starts with"),
        (struct.pack("<Q", 100) + b"{}", "truncated: a header of 100 bytes"),
        (struct.pack("<Q", 2) + b"[]", "starts with"),
        (b"PK\x03\x04" + bytes(30), "zip archive"),
        (b"<html>", "web page"),
    ],
)
def test_other_files(path, content, match):
    path.write_bytes(content)
    with pytest.raises(ConvertError, match=match):
        safetensors.read(str(path))


def test_truncated_anywhere(path, arrays):
    safetensors.write(str(path), arrays)
    content = path.read_bytes()
    for end in range(len(content)):
        path.write_bytes(content[:end])
        with pytest.raises(ConvertError):
            safetensors.read(str(path))


@pytest.mark.parametrize("arrays", [{"a": np.array(["a"])}, {"a": np.zeros(2, "c8")}, {"__metadata__": np.zeros(2)}])
def test_what_has_no_place_is_not_written(path, arrays):
    with pytest.raises(ConvertError, match="has no place in this form"):
        safetensors.write(str(path), arrays)
    assert not path.exists()


def test_a_header_that_could_not_be_read_is_not_written(path):
    with pytest.raises(ConvertError, match="names take"):
        safetensors.write(str(path), {f"{n:0500}": np.zeros(1) for n in range(2000)})
