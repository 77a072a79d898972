"""Binary weights: both generations read, one written, damage refused."""

from __future__ import annotations

import os
import resource

import numpy as np
import pytest

from fullconv.lib.convert import caffemodel
from fullconv.lib.convert.caffemodel import BlobLayer
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.utils import wire
from fullconv.lib.utils.wire import encode_text, encode_varint, head


def layers(seed=0):
    rng = np.random.RandomState(seed)
    weight, bias = rng.randn(4, 3, 5, 5).astype("f4"), rng.randn(4).astype("f4")
    return [
        BlobLayer("data", "Input", (), (), ("data",)),
        BlobLayer("conv", "Convolution", (weight, bias), ("data",), ("conv",)),
        BlobLayer("fc", "InnerProduct", (rng.randn(2, 7).astype("f4"),), ("conv",), ("fc",)),
    ]


def nested(number, *parts):
    body = b"".join(parts)
    return head(number, len(body)) + body


def integer(number, value):
    return encode_varint(number << 3) + encode_varint(value)


def numbers(values, field=5, dtype="<f4"):
    data = np.asarray(values, dtype).tobytes()
    return head(field, len(data)) + data


def v1_layer(name, kind, *blobs):
    return nested(2, encode_text(4, name), integer(5, kind), *(nested(6, *blob) for blob in blobs))


def legacy(num, channels, height, width):
    return b"".join(integer(i + 1, n) for i, n in enumerate((num, channels, height, width)))


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "net.caffemodel")


def get(path):
    with open(path, "rb") as file:
        return file.read()


def put(path, content):
    with open(path, "wb") as file:
        file.write(content)
    return path


def test_what_is_written_reads_the_same(path):
    caffemodel.write(path, layers(), "net")
    found = caffemodel.read(path)
    for ours, theirs in zip(found, layers()):
        assert ours[:2] == theirs[:2] and ours.bottoms == theirs.bottoms and ours.tops == theirs.tops
        assert len(ours.blobs) == len(theirs.blobs)
        assert all((a == b).all() and a.shape == b.shape for a, b in zip(ours.blobs, theirs.blobs))


def test_legacy_shapes_become_natural(path):
    content = v1_layer("fc", 14, (legacy(1, 1, 2, 3), numbers(range(6))), (legacy(1, 1, 1, 2), numbers([1, 2])))
    content += v1_layer("conv", 4, (legacy(1, 1, 1, 2), numbers([3, 4])), (legacy(1, 1, 1, 1), numbers([5])))
    content += v1_layer("relu", 18)
    found = {layer.name: layer for layer in caffemodel.read(put(path, content))}
    assert [blob.shape for blob in found["fc"].blobs] == [(2, 3), (2,)]
    assert [blob.shape for blob in found["conv"].blobs] == [(1, 1, 1, 2), (1,)]
    assert found["fc"].type == "InnerProduct" and found["relu"].blobs == ()


def v2(*blob_parts, name="conv"):
    return nested(100, encode_text(1, name), encode_text(2, "Convolution"), nested(7, *blob_parts))


def shape(*dims):
    return nested(7, head(1, sum(len(encode_varint(d)) for d in dims)) + b"".join(map(encode_varint, dims)))


def test_doubles_and_split_runs(path):
    content = v2(shape(3), numbers([1, 2, 3], field=8, dtype="<f8"), name="a")
    content += v2(shape(2, 2), numbers([1, 2]), numbers([3, 4]), integer(99, 5), name="b")
    found = caffemodel.read(put(path, content))
    assert [layer.blobs[0].tolist() for layer in found] == [[1, 2, 3], [[1, 2], [3, 4]]]
    assert all(layer.blobs[0].dtype == np.float32 for layer in found)


BOMB = shape(1 << 40, 1 << 20)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "the file is empty"),
        (b"<html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x80\x04\x95", "a Python pickle"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        (b"\x07", "wire type 7"),
        (b"\xff" * 12, "more than ten bytes"),
        (b"\x0a\xff\xff\xff\xff\x0f", "truncated: a field of 4294967295 bytes where 0 are left"),
        (b"\x0a\x03net", "no layer holds arrays"),
        (b"\x00\x00", "field with number 0"),
        (b"\x08\x01" * 200_001, "more than 200000 fields"),
        (v2(shape(3), numbers([1, 2])), r"layer 'conv', blob 0: shape \(3,\) takes 3 numbers, the file has 2"),
        (v2(BOMB, numbers([1])), r"layer 'conv', blob 0: .* the file has 1"),
        (v2(shape(*[1] * 100), numbers([1])), "layer 'conv', blob 0: shape"),
        (v2(shape(0)), "layer 'conv', blob 0: shape"),
        (v2(shape(1), numbers([np.nan])), "layer 'conv', blob 0 holds NaN"),
        (v2(shape(1), head(5, 3) + b"abc"), "layer 'conv', truncated: 3 bytes of 4-byte numbers"),
        (v2(shape(1), b"\x2d\x00\x00\x00\x00"), "layer 'conv', numbers stored one by one"),
        (v2(shape(1), numbers([1])) * 2, "two layers called 'conv'"),
        (v2(*[shape(1)] * 1, *[numbers([1])] * 1001), "layer .conv., blob 0: numbers in more than 1000 pieces"),
        (v2(b"".join(integer(1, 1) for _ in range(9))), "layer .conv., blob 0: shape"),
        (nested(100, head(1, 1) + b"\xff"), "a name that is not text"),
        (integer(100, 3), "a layer of wire type 0"),
    ],
)
def test_damage_names_file_layer_and_value(path, content, message):
    with pytest.raises(ConvertError, match=message) as error:
        caffemodel.read(put(path, content))
    assert str(error.value).startswith(path)


def test_absent_file(path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        caffemodel.read(path)


def test_every_truncation_is_noticed(path):
    caffemodel.write(path, layers(), "net")
    whole = get(path)
    whole_again = [layer.name for layer in caffemodel.read(path)]
    for size in range(0, len(whole), 7):
        try:
            found = caffemodel.read(put(path, whole[:size]))
        except ConvertError:
            continue
        # A cut between two layers leaves a smaller network, which strict loading refuses.
        assert len(found) < len(whole_again)


def test_nothing_half_written(path, tmp_path):
    caffemodel.write(path, layers(), "net")
    before = get(path)
    bad = [*layers(), BlobLayer("bad", "Convolution", (np.float32([np.inf]),))]
    with pytest.raises(ConvertError, match="not written: layer 'bad' has empty, NaN or infinite arrays"):
        caffemodel.write(path, bad)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    try:
        with pytest.raises(ConvertError, match="cannot be written: .*nothing was left behind"):
            caffemodel.write(path, layers(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert get(path) == before and os.listdir(tmp_path) == ["net.caffemodel"]


def test_the_formats_limit(path, monkeypatch):
    monkeypatch.setattr(caffemodel, "LARGEST_MESSAGE", 100)
    with pytest.raises(ConvertError, match="the format ends at 2 GB"):
        caffemodel.write(path, layers())
    assert not os.path.exists(path)


def test_varints_round_trip():
    for value in (0, 1, 127, 128, 300, 2**31, 2**63):
        encoded = encode_varint(value)
        assert wire._varint(memoryview(encoded), 0) == (value, len(encoded))
