"""Damaged files of weights: an answer or a CheckpointError, quickly, in little memory. `FUZZ=100000` for more."""

from __future__ import annotations

import collections
import os
import pickle
import time
import tracemalloc

import numpy as np
import pytest

from fullconv.lib.convert import safetensors, torch_writer, weights
from fullconv.lib.core.params_file import CheckpointError

ROUNDS = int(os.environ.get("FUZZ", 400))
SPARE_MEMORY, SECONDS = 64 << 20, 5
OPCODES = bytes(range(0x80, 0x99)) + b"().012BCFGIJKLMNPQRSTUVXabcdeghijlopqrstu]}"

RNG = np.random.RandomState(0)
ARRAYS = {f"layer{n}.conv.weight": RNG.rand(2, 3, n + 1).astype("f4") for n in range(4)}
BLOBS = {f"res2_{n}_branch2a_w": RNG.rand(2, 3, n + 1).astype("f4") for n in range(4)}


def form(name, folder, torch_bytes):
    """A whole file of one form, as bytes, and its ending."""
    path = str(folder / "model")
    if name == "zip":
        torch_writer.write(path, ARRAYS)
    elif name == "safetensors":
        safetensors.write(path, ARRAYS)
    elif name == "npz":
        np.savez_compressed(
            folder / "model.npz", **{"features.0.0.weight": RNG.rand(2, 3), "features.0.0.bias": RNG.rand(2)}
        )
        path += ".npz"
    elif name == "legacy":
        storages = {str(n): (array.size, array.tobytes()) for n, array in enumerate(ARRAYS.values())}
        tensors = {
            name: torch_bytes.tensor(torch_bytes.storage("FloatStorage", str(n), a.size), 0, (a.size,), (1,))
            for n, (name, a) in enumerate(ARRAYS.items())
        }
        return torch_bytes.legacy(torch_bytes.model(**tensors), storages), ".pth"
    else:
        content = {"blobs": collections.OrderedDict(BLOBS), "step": 5, "lr": 0.1, "order": [b"a", ("b", 2**40)]}
        return pickle.dumps(content, int(name[-1])), ".pkl"
    with open(path, "rb") as file:
        return file.read(), {"zip": ".pth"}.get(name, f".{name}")


def mutate(rng, content):
    """One to eight changes: bytes set (to opcodes, often), flipped, cut out, repeated, moved, or the end cut off."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 9)):
        kind, place, size = rng.randint(6), rng.randint(len(data) or 1), rng.randint(1, 33)
        if kind == 0 and data:
            data[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randint(256)])
        elif kind == 1 and data:
            data[place] = OPCODES[rng.randint(len(OPCODES))]
        elif kind == 2 and data:
            data[place] ^= 1 << rng.randint(8)
        elif kind == 3:
            del data[place : place + size]
        elif kind == 4:
            start = rng.randint(len(data) or 1)
            data[place:place] = data[start : start + size] * rng.randint(1, 5)
        elif rng.randint(4) == 0:
            del data[place:]
    return bytes(data)


@pytest.mark.parametrize("name", ["zip", "legacy", "safetensors", "npz", *(f"pickle{n}" for n in range(6))])
def test_damaged_files(name, tmp_path, torch_bytes):
    content, ending = form(name, tmp_path, torch_bytes)
    path = tmp_path / f"fuzz{ending}"
    path.write_bytes(content)
    assert weights.read(str(path))
    rng = np.random.RandomState(1)
    answers = 0
    tracemalloc.start()
    try:
        for _ in range(ROUNDS // 4):
            path.write_bytes(mutate(rng, content))
            tracemalloc.clear_traces()
            started = time.process_time()
            try:
                answers += bool(weights.read(str(path)))
            except CheckpointError as error:
                assert str(path) in str(error) and len(str(error)) < 2000
            assert time.process_time() - started < SECONDS
            assert tracemalloc.get_traced_memory()[1] < 4 * path.stat().st_size + SPARE_MEMORY
    finally:
        tracemalloc.stop()
    assert answers < ROUNDS // 4  # the changes do damage


def test_streams_of_opcodes(tmp_path):
    """No file at all, but every opcode in every order."""
    rng = np.random.RandomState(2)
    path = tmp_path / "fuzz.pkl"
    for _ in range(ROUNDS):
        codes = rng.choice(list(OPCODES), rng.randint(1, 300)).astype("u1").tobytes()
        path.write_bytes(b"\x80\x04" + codes + b".")
        with pytest.raises(CheckpointError):
            weights.read(str(path))
