"""Files made to cost much: every reader answers or refuses within four times the file and 64 MB, in five seconds.

Seconds are those of the processor, so that what else the machine does is not counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fullconv.lib.utils.wire import encode_text, encode_varint, head

ROOT = Path(__file__).resolve().parents[3]
SPARE_MEMORY, SECONDS = 64 << 20, 5

MEASURE = """
import json, os, sys, time
import numpy as np
from fullconv.lib.convert import caffe
from fullconv.lib.convert.errors import ConvertError

def kilobytes(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key))

for path in sys.argv[1:]:
    if os.fork():  # a child for each file: memory that an earlier one left free would serve a later one unseen
        os.wait()
        continue
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")  # the highest mark of memory starts anew
    before, started, error = kilobytes("VmRSS"), time.process_time(), ""
    try:
        caffe.describe(path)
        if path.endswith("caffemodel"):
            caffe.load_params(path)
    except ConvertError as refusal:
        error = str(refusal)
    seconds = time.process_time() - started
    cost = (kilobytes("VmHWM") - before) * 1024
    print(json.dumps({"path": path, "bytes": cost, "seconds": seconds, "error": error}), flush=True)
    os._exit(0)
"""


def nested(number, *parts):
    return head(number, sum(map(len, parts))) + b"".join(parts)


def dims(*lengths):
    packed = b"".join(map(encode_varint, lengths))
    return nested(7, head(1, len(packed)) + packed)


def floats(count, field=5, size=4):
    return head(field, count * size) + bytes(count * size)


def layer(*parts, name="x"):
    return nested(100, encode_text(1, name), encode_text(2, "Convolution"), *parts)


def legacy(n):
    return b"".join(encode_varint(i << 3) + encode_varint(n) for i in (1, 2, 3, 4))


def network(*lines):
    return ('input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8\n' + "\n".join(lines)).encode()


def crops(count):
    """Strides of ever new primes, so that the coordinates' denominators grow."""
    text = 'layer {{ type: "{}" bottom: "data" top: "data" convolution_param {{ num_output: 1 {} stride: {} }} }}'
    strides = [n for n in range(3, 4000, 2) if all(n % k for k in range(3, 64, 2))][: count // 2]
    return [text.format(k, "kernel_size: 2", n) for n in strides for k in ("Deconvolution", "Convolution")]


MODELS = {
    "a hundred thousand axes": layer(nested(7, dims(*[(1 << 63) - 1] * 110_000), floats(1))),
    "axes that claim all": layer(nested(7, dims(1 << 40, 1 << 20), floats(1))),
    "old axes that claim all": layer(nested(7, legacy(1 << 62), floats(1))),
    "empty layers": b"\xa2\x06\x00" * 199_000,
    "layers of one name": layer(nested(7, dims(1), floats(1))) * 20_000,
    "layers, the last two of one name": b"".join(
        layer(nested(7, dims(1), floats(1)), name=str(min(n, 19_998))) for n in range(20_000)
    ),
    "long names": b"".join(layer(name=f"{n:0>990}") for n in range(30_000)),
    "many arrays": layer(b"\x3a\x00" * 199_000),
    "many pieces": layer(nested(7, dims(199_000), floats(1) * 199_000)),
    "many bottoms": layer(b"\x1a\x01a" * 199_000),
    "many shapes": layer(nested(7, dims(1) * 90_000, floats(1))),
    "messages inside each other": b"".join(head(7, n) for n in range(400_000, 0, -4)),
    "numbers without an end": b"\xff" * 4_000_000,
    "a large array": layer(nested(7, dims(10 << 20), floats(10 << 20))),
    "a large array of doubles": layer(nested(7, dims(5 << 20), floats(5 << 20, 8, 8))),
    "a large array of another shape": layer(nested(7, dims(1), floats(10 << 20))),
    "noise": np.random.RandomState(0).bytes(4_000_000),
}

TEXTS = {
    "a string of 15 MB": b'a: "' + b"x" * (15 << 20) + b'"',
    "a string of 4 MB": b'a: "' + b"x" * 4_000_000 + b'"',
    "a string of escapes": b'a: "' + b"\\a" * 2_000_000 + b'"',
    "strings of escapes": (b'a: "' + b"\\a" * 32_000 + b'"\n') * 62,
    "strings behind each other": b"a:" + b'""' * 2_000_000,
    "messages inside each other": b"a{" * 2_000_000,
    "empty messages": b"a{}" * 99_000,
    "comments": b"#\n" * 2_000_000,
    "empty lines": b"\n" * 4_000_000,
    "digits": b"a: " + b"9" * 4_000_000,
    "fields": b"a:1 " * 1_000_000,
    "a list": b"input_dim:[" + b"1," * 99_000 + b"]",
    "names": b" ".join(b"name_%d:1" % n for n in range(99_000)),
    "layers": network(*['layer { name: "x" type: "ReLU" bottom: "data" top: "data" }'] * 4990),
    "too many layers": network(*['layer{type:"ReLU"bottom:"data"top:"data"}'] * 14_000),
    "tops": network('layer { name: "x" type: "Slice" bottom: "data" ' + 'top: "a" ' * 49_000 + "}"),
    "inputs": b" ".join(b'input: "%d"' % n for n in range(49_000)),
    "data tops": b'layer { name: "x" type: "Data" ' + b" ".join(b'top: "%d"' % n for n in range(49_000)) + b"}",
    "rules": network('layer { name: "x" type: "ReLU" bottom: "data" top: "data" ' + "include {} " * 90_000 + "}"),
    "multipliers": network('layer { name: "x" type: "ReLU" bottom: "data" top: "data" ' + "param {} " * 90_000 + "}"),
    "padding layers": network(*['layers { layer { type: "padding" pad: 1 } bottom: "data" top: "data" }'] * 4990),
    "fractions": network(*crops(1000), 'layer { name: "c" type: "Crop" bottom: "data" bottom: "data" top: "c" }'),
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What reading each file cost, all in one fresh process."""
    folder, files = tmp_path_factory.mktemp("hostile"), {}
    for kind, contents in (("caffemodel", MODELS), ("prototxt", TEXTS)):
        for index, (name, content) in enumerate(contents.items()):
            path = folder / f"{index}.{kind}"
            path.write_bytes(content)
            files[str(path)] = (kind, name, len(content))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, *files], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    return {files[row["path"]][:2]: (files[row["path"]][2], row) for row in rows}


@pytest.mark.parametrize("name", MODELS)
def test_weights(measured, name):
    check(*measured["caffemodel", name])


@pytest.mark.parametrize("name", TEXTS)
def test_text(measured, name):
    check(*measured["prototxt", name])


def check(size, row):
    assert row["seconds"] < SECONDS
    assert row["bytes"] < 4 * size + SPARE_MEMORY
    if row["error"]:
        assert row["error"].startswith(row["path"]) and len(row["error"]) < 5000
