"""Batch norms that were folded into convolutions, unfolded; `.npz` files within bounds."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from fullconv.lib.convert import mobilenet
from fullconv.lib.convert.errors import ConvertError

RNG = np.random.RandomState(0)
FOLDED = {
    "features.0.0.weight": RNG.rand(4, 3, 3, 3).astype("f4"),
    "features.0.0.bias": RNG.rand(4).astype("f4"),
    "features.2.conv.3.weight": RNG.rand(4, 1, 3, 3).astype("f4"),
    "features.2.conv.3.bias": RNG.rand(4).astype("f4"),
    "features.18.0.weight": RNG.rand(9, 4, 1, 1).astype("f4"),
    "features.18.0.bias": RNG.rand(9).astype("f4"),
    "classifier.1.weight": RNG.rand(5, 9).astype("f4"),
}


def test_a_frozen_batch_norm_adds_the_bias_again():
    got = mobilenet.unfold(FOLDED)
    parts = ("weight", "bias", "running_mean", "running_var")
    norms = [f"{norm}.{part}" for norm in ("features.0.1", "features.2.conv.4") for part in parts]
    assert sorted(got) == sorted([*norms, "features.0.0.weight", "features.2.conv.3.weight"])
    x = RNG.randn(4).astype("f4")
    for conv, norm in (("features.0.0", "features.0.1"), ("features.2.conv.3", "features.2.conv.4")):
        weight, bias, mean, var = (got[f"{norm}.{part}"] for part in parts)
        y = (x - mean) / np.sqrt(var + np.float32(1e-5)) * weight + bias
        np.testing.assert_allclose(y, x + FOLDED[f"{conv}.bias"], rtol=1e-6)
        assert all(array.dtype == np.float32 for array in (weight, bias, mean, var))


@pytest.mark.parametrize(
    "arrays, match",
    [
        ({"conv1.weight": np.ones(2)}, "this is no MobileNetV2"),
        ({"features.0.0.bias": np.ones(2)}, "has no weight"),
        ({"features.0.1.running_mean": np.ones(2)}, "can be used as they are"),
    ],
)
def test_other_arrays(arrays, match):
    with pytest.raises(ConvertError, match=match):
        mobilenet.unfold(arrays)


def npz(*members, method=zipfile.ZIP_DEFLATED):
    """A compressed archive of (name, bytes)."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, content in members:
            made.writestr(name, content)
    return file.getvalue()


def packed_size(content, size):
    """Let the directory say that the one member takes `size` bytes of the file."""
    place = content.index(b"PK\x01\x02") + 20
    return content[:place] + size.to_bytes(4, "little") + content[place + 4 :]


def npy(header, content=b"", version=b"\x01\x00"):
    """A member with a header by hand."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + content


def test_arrays_of_a_file(tmp_path, guarded):
    path = tmp_path / "weights.npz"
    more = {**FOLDED, "turned": np.arange(6.0).reshape(2, 3).T, "big": np.arange(3, dtype=">i4"), "scalar": np.array(3)}
    for save in (np.savez, np.savez_compressed):
        save(path, **more)
        got = guarded(mobilenet.read_npz, path)
        assert list(got) == list(more)
        for name, array in got.items():
            np.testing.assert_array_equal(array, more[name])


HUGE = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,)}")
OBJECTS = npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"\x80\x02cos\nsystem\n")
LIES = {
    "bomb": (npz(("a.npy", bytes(300_000_000))), "unpack to 300000000 bytes"),
    "huge shape": (npz(("a.npy", HUGE)), "cannot|buffer"),
    "objects": (npz(("a.npy", OBJECTS)), "objects"),
    "code": (npz(("a.npy", npy("__import__('os').system('true')"))), "malformed"),
    "deep": (npz(("a.npy", npy("(" * 60_000))), "header of more than 1000"),
    "lzma": (npz(("a.npy", b"hello"), method=zipfile.ZIP_LZMA), "numpy never uses"),
    "packed size": (packed_size(npz(("a.npy", b"hello")), 2**30), "1 members of 1073741824 bytes"),
    "no array": (npz(("a.npy", b"hello")), "magic"),
    "version": (npz(("a.npy", npy("", version=b"\x09\x00"))), "version"),
    "many": (npz(*((f"{n}.npy", b"") for n in range(10_001))), "10001 members"),
    "no zip": (b"<html>", "web page"),
    "half": (npz(("a.npy", npy("{}")))[:60], "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("case", LIES)
def test_hostile_files(case, tmp_path, guarded):
    content, match = LIES[case]
    path = tmp_path / "weights.npz"
    path.write_bytes(content)
    assert isinstance(guarded(mobilenet.read_npz, path), ConvertError)
    with pytest.raises(ConvertError, match=match):
        mobilenet.read_npz(str(path))


def test_a_changed_byte_is_found(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, **FOLDED)
    content = bytearray(path.read_bytes())
    content[content.index(FOLDED["classifier.1.weight"].tobytes()) + 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConvertError, match="damaged"):
        mobilenet.read_npz(str(path))
