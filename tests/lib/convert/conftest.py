"""Files of weights made by hand, independently of our writers, and bounds that every reader keeps."""

from __future__ import annotations

import io
import pickle
import struct
import time
import tracemalloc
import zipfile
from typing import Any, Callable, Mapping

import numpy as np
import pytest

from fullconv.lib.convert.errors import ConvertError

SPARE_MEMORY, SECONDS = 64 << 20, 5
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class TorchBytes:
    """The two forms of a `.pth` file around a pickle and the bytes of its storages."""

    def zipped(self, pickled: bytes, storages: Mapping[str, bytes] = {}, extra: Mapping[str, bytes] = {}) -> bytes:
        """The newer form, through Python's own zipfile."""
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", pickled)
            for key, content in storages.items():
                archive.writestr(f"archive/data/{key}", content)
            for name, content in {"archive/version": b"3\n", **extra}.items():
                archive.writestr(name, content)
        return file.getvalue()

    def legacy(self, pickled: bytes, storages: Mapping[str, tuple] = {}, little: bool = True) -> bytes:
        """The older form; storages: key -> (count, bytes)."""
        info = {"protocol_version": PROTOCOL, "little_endian": little, "type_sizes": {"short": 2, "int": 4, "long": 4}}
        head = b"".join(pickle.dumps(value, 2) for value in (MAGIC, PROTOCOL, info))
        tail = b"".join(struct.pack("<q", count) + content for count, content in storages.values())
        return head + pickled + pickle.dumps(list(storages), 2) + tail

    def storage(self, kind: str, key: str, count: int, more: bytes = b"") -> bytes:
        """Opcodes that push a storage."""
        return b"(X\x07\0\0\0storagectorch\n%s\nX%s%sX\x03\0\0\0cpuJ%s%stQ" % (
            kind.encode(),
            struct.pack("<I", len(key)),
            key.encode(),
            struct.pack("<i", count),
            more,
        )

    def tensor(self, storage: bytes, offset: int, shape: tuple, strides: tuple) -> bytes:
        """Opcodes that push a tensor."""
        rest = pickle.dumps((offset, shape, strides, False, {}), 0)
        inner = rest[: rest.rindex(b"t")]  # the five values above a mark, without memo and stop
        return b"ctorch._utils\n_rebuild_tensor_v2\n" + inner.replace(b"(", b"(" + storage, 1) + b"tR"

    def model(self, **tensors: bytes) -> bytes:
        """A pickle of a dict of tensors."""
        items = b"".join(b"X" + struct.pack("<I", len(name)) + name.encode() + body for name, body in tensors.items())
        return b"\x80\x02}(" + items + b"u."


@pytest.fixture(scope="session")
def torch_bytes() -> TorchBytes:
    """Makes `.pth` files."""
    return TorchBytes()


def outcome(function: Callable[[str], Any], path: Any) -> Any:
    """The value, or the error, which has to name the file."""
    try:
        return function(str(path))
    except ConvertError as error:
        assert str(path) in str(error) and len(str(error)) < 2000
        return error


@pytest.fixture
def guarded() -> Callable[..., Any]:
    """`guarded(function, path)`: its value or the ConvertError, within five seconds and four times the file.

    Run twice: counting the memory takes several times as long as the work.
    """

    def run(function: Callable[[str], Any], path: Any) -> Any:
        started = time.process_time()
        result = outcome(function, path)
        assert time.process_time() - started < SECONDS
        tracemalloc.start()
        try:
            outcome(function, path)
            assert tracemalloc.get_traced_memory()[1] < 4 * path.stat().st_size + SPARE_MEMORY
        finally:
            tracemalloc.stop()
        return result

    return run


@pytest.fixture(scope="session")
def arrays() -> dict:
    """Small arrays of every type that all forms know, a scalar and an empty one among them."""
    rng = np.random.RandomState(0)
    made = {f"layer.{code}": (50 * rng.rand(2, 3, 5)).astype(code) for code in ("f2", "f4", "f8", "u1", "i1", "i8")}
    return {**made, "layer.bool": rng.rand(7) > 0.5, "layer.i4": np.arange(6, dtype="i4").reshape(3, 2)}
