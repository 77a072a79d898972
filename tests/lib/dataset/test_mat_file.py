"""The MATLAB reader against scipy's writer, and on damaged files."""

import io
import random
import zlib

import numpy as np
import pytest
import scipy.io

from fullconv.lib.dataset.mat_file import MAX_BYTES, MatError, read_field, read_variable

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
    for data in (b"", b"x" * 200, b"MATLAB 7.3 MAT-file".ljust(600, b"\0")):
        with pytest.raises(MatError, match="-v7"):
            read_field(data, "GT", "Segmentation")


def test_decompression_bomb():
    bomb = zlib.compress(bytes(MAX_BYTES + 1), 1)
    data = b" " * 124 + b"\0\1IM" + (15).to_bytes(4, "little") + len(bomb).to_bytes(4, "little") + bomb
    with pytest.raises(MatError, match="larger than"):
        read_field(data, "GT", "Segmentation")


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
