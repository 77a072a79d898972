"""Damaged and hostile files: always an answer or a ConvertError, quickly, in little memory. `FUZZ=100000` for more."""

from __future__ import annotations

import contextlib
import os
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fullconv.fcn.symbols import build, initial_params
from fullconv.lib.convert import caffe, caffemodel, prototxt
from fullconv.lib.convert.caffe_layers import read_layers
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.network.caffe.compose import compose
from fullconv.lib.network.caffe.layer import without

ROUNDS = int(os.environ.get("FUZZ", 1000))
SPARE_MEMORY = 64 << 20


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A small network's two files, as bytes."""
    net = build("voc-fcn8s-atonce", [2], width=1 / 64, hidden=2)
    layers = without(net.layers, "Dropout")
    prefix = str(tmp_path_factory.mktemp("fuzz") / "net")
    paths = caffe.export(layers, initial_params(net), prefix, net.data_shapes(8, 8))
    return [Path(path).read_bytes() for path in paths]


def mutate(rng, content):
    """One to eight changes: bytes set, flipped, cut out, repeated, or the end cut off."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 9)):
        kind, place, size = rng.randint(5), rng.randint(len(data) or 1), rng.randint(1, 33)
        if kind == 0 and data:
            data[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randint(256)])
        elif kind == 1 and data:
            data[place] ^= 1 << rng.randint(8)
        elif kind == 2:
            del data[place : place + size]
        elif kind == 3:
            data[place:place] = data[place : place + size] * rng.randint(1, 5)
        elif rng.randint(4) == 0:
            del data[place:]
    return bytes(data)


def guarded(function, content):
    """Run, allow ConvertError, and bound the processor's time, whatever else the machine does, and memory."""
    started = time.process_time()
    tracemalloc.reset_peak()
    try:
        function(content)
    except ConvertError as error:
        assert len(str(error)) < 5000
    assert time.process_time() - started < 5
    assert tracemalloc.get_traced_memory()[1] < 4 * len(content) + SPARE_MEMORY


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


def small(content):
    """The head of a weight file, so that mutations meet structure rather than numbers."""
    return content[:3000]


def test_caffemodel(files, tmp_path, traced):
    path = str(tmp_path / "fuzz.caffemodel")

    def read(content):
        with open(path, "wb") as file:
            file.write(content)
        caffe.load_params(path)

    rng = np.random.RandomState(0)
    for index in range(ROUNDS):
        guarded(read, mutate(rng, files[1] if index % 10 == 0 else small(files[1])))


def test_prototxt(files, traced):
    def read(content):
        layers = read_layers(prototxt.parse(content.decode("latin-1"))).layers
        with contextlib.suppress(ValueError):  # layers that do not connect; the message names them
            compose(layers)

    rng = np.random.RandomState(1)
    for index in range(ROUNDS // 5):
        text = files[0]
        start = rng.randint(len(text) - 1500)
        guarded(read, mutate(rng, text if index % 10 == 0 else text[start : start + 1500]))


@pytest.mark.parametrize(
    "content", [b"\x0a" * 200_000, b"\xa2\x06\x00" * 20_000, os.urandom(200_000), b"\x08" * 10_000]
)
def test_pathological_weights(content, tmp_path, traced):
    path = tmp_path / "bomb.caffemodel"
    path.write_bytes(content)
    guarded(lambda _: caffemodel.read(str(path)), content)


@pytest.mark.parametrize("content", [b"a{" * 50_000, b"a:[" + b"1," * 100_000, b"a:" + b"\\" * 100_000, b"#" * 500_000])
def test_pathological_text(content, traced):
    guarded(lambda text: prototxt.parse(text.decode()), content)
