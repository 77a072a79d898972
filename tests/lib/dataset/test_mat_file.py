"""The MATLAB reader against scipy's writer, and on damaged files."""

import io
import random
import zlib

import numpy as np
import pytest
import scipy.io

from fullconv.lib.dataset.mat_file import SPARE_BYTES, MatError, read_field, read_variable

LABELS = np.random.RandomState(0).randint(0, 4, (12, 9))


def _save(value, **options):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, value, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "f8"])
def test_agrees_with_scipy(dtype, compress):
    labels = LABELS.astype(dtype)
    cells = np.array([scipy.sparse.eye(3).tocsc(), "text"], object)
    value = {
        "other": np.eye(3),
        "GT": {"Boundaries": cells, "Segmentation": labels, "Categories": np.ones((2, 1))},
    }
    found = read_field(_save(value, do_compression=compress), "GT", "Segmentation")
    np.testing.assert_array_equal(found, labels)
    assert found.dtype == labels.dtype


@pytest.mark.parametrize("compress", [True, False])
def test_plain_variables(compress):
    value = {"names": np.array(["sky", "sea"], object), "S": LABELS.astype("i2"), "GT": {"Segmentation": LABELS}}
    data = _save(value, do_compression=compress)
    found = read_variable(data, "S")
    np.testing.assert_array_equal(found, LABELS)
    assert found.dtype == np.int16
    for name, text in (("GT", "plain numbers"), ("names", "plain numbers"), ("T", "no variable T")):
        with pytest.raises(MatError, match=text):
            read_variable(data, name)


def test_big_endian():
    """Made by hand: x.y = [1 2], int16."""

    def element(kind, data):
        return kind.to_bytes(4, "big") + len(data).to_bytes(4, "big") + data + b"\0" * (-len(data) % 8)

    def numbers(*values):
        return b"".join(value.to_bytes(4, "big") for value in values)

    inner = element(6, numbers(10, 0)) + element(5, numbers(1, 2)) + element(1, b"") + element(3, b"\0\1\0\2")
    outer = element(6, numbers(2, 0)) + element(5, numbers(1, 1)) + element(1, b"x") + numbers(4 << 16 | 5, 2)
    outer += element(1, b"y\0") + element(14, inner)
    data = b" " * 124 + b"\1\0MI" + element(14, outer)
    assert read_field(data, "x", "y").tolist() == [[1, 2]]


@pytest.mark.parametrize(
    "value, text",
    [
        ({"labels": LABELS}, r"no variable GT, only \['labels'\]"),
        ({"GT": LABELS}, "GT is not a 1 x 1 struct"),
        ({"GT": {"Other": LABELS}}, r"no field Segmentation, only \['Other'\]"),
        ({"GT": {"Segmentation": "text"}}, "not an array of plain numbers"),
    ],
)
def test_other_contents(value, text):
    with pytest.raises(MatError, match=text):
        read_field(_save(value), "GT", "Segmentation")


def test_not_matlab():
    for data in (b"", b"x" * 200, b"MATLAB 4".ljust(600, b"\0")):
        with pytest.raises(MatError, match="no MATLAB 5 header: save it with `save -v7`"):
            read_field(data, "GT", "Segmentation")


@pytest.mark.parametrize(
    "header",
    [
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM",
        b"MATLAB 7.3 MAT-file".ljust(600, b"\0"),
        b"written by another program".ljust(124) + b"\0\2IM",
        b"written by another program".ljust(124) + b"\2\0MI",
        b"\0" * 512 + b"\x89HDF\r\n\x1a\n",
        b"\x89HDF\r\n\x1a\n".ljust(200, b"\0"),
    ],
)
def test_version_7_3_is_named(header):
    with pytest.raises(MatError, match="version 7.3, which is HDF5: load it in MATLAB and save it with `save -v7`"):
        read_field(header + bytes(600), "GT", "Segmentation")


def _compressed(variable):
    bomb = zlib.compress(variable, 9)
    return b" " * 124 + b"\0\1IM" + (15).to_bytes(4, "little") + len(bomb).to_bytes(4, "little") + bomb


def test_decompression_bomb():
    with pytest.raises(MatError, match="larger than 16.* bytes: save labels as uint8"):
        read_field(_compressed(bytes(SPARE_BYTES + 2**21)), "GT", "Segmentation")


def test_small_numbers_declared_as_large_ones():
    """Bytes of a double array, as MATLAB stores small whole numbers: eight times as large in memory."""

    def element(kind, data):
        return kind.to_bytes(4, "little") + len(data).to_bytes(4, "little") + data + b"\0" * (-len(data) % 8)

    def array(count):
        sizes = b"".join(value.to_bytes(4, "little") for value in (1, count))
        parts = element(6, (6).to_bytes(8, "little")) + element(5, sizes) + element(1, b"S") + element(2, bytes(count))
        return _compressed(element(14, parts))

    assert read_variable(array(1000), "S").shape == (1, 1000)
    with pytest.raises(MatError, match="S takes 128000000 bytes of memory, more than 16.*: save labels as uint8"):
        read_variable(array(16 * 10**6), "S")


@pytest.mark.parametrize("compress", [True, False])
def test_damaged_files_never_crash(compress):
    good, rng = (
        _save({"GT": {"Segmentation": LABELS.astype("u1")}}, do_compression=compress),
        random.Random(0),
    )
    for _ in range(4000):
        data = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(120, len(data))] = rng.randrange(256)
        try:
            found = read_field(bytes(data[: rng.choice([len(data), rng.randrange(len(data))])]), "GT", "Segmentation")
            assert found.size <= 12 * 9 * 8
        except MatError:
            pass
