"""`.pth` files, both of PyTorch's forms, without PyTorch and without executing what they hold.

Legacy (before 1.6, the form of the published FCOS models): pickles of a magic number, a protocol number, sizes of
types, the object, and the storages' keys; then for every key a count and the numbers. Zip: an archive of `data.pkl`,
`byteorder` and `data/<key>`. (PyTorch's `torch/serialization.py`.) `lib.convert.torch_writer` writes the newer one.
"""

from __future__ import annotations

import mmap
import struct
from typing import Any, List

import numpy as np

from fullconv.lib.convert import unpickler
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.convert.mapped import instead, open_mapped
from fullconv.lib.convert.pickle_limits import Budget, PickleError
from fullconv.lib.convert.torch_tensors import ALLOWED, Storage, StorageKind, Storages
from fullconv.lib.convert.zip_archive import Archive, ZipError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
ORDERS = {b"little": "<", b"big": ">"}
_REMEDY = "fetch it again, or save the model's state_dict() anew with torch.save"


def read(path: str) -> Any:
    """The object in a file: nested dicts, lists and numbers, tensors as numpy arrays, which may share memory.

    Float16, 32 and 64, the integers and bool keep their types, bfloat16 becomes float32. Parameters are their data.

    Raises:
        FileNotFoundError: no such file.
        ConvertError: foreign, truncated, damaged, or asking for more than tensors and plain data; the text says what.
    """
    data = open_mapped(path)
    try:
        if data[:4] == b"PK\x03\x04":
            return _read_zip(data)
        if data[:1] == b"\x80":
            return _read_legacy(data)
        raise PickleError(instead(data))
    except (PickleError, ZipError) as error:
        raise ConvertError(f"{path}: no PyTorch file that can be read: {error}; {_REMEDY}") from None


def _read_zip(data: mmap.mmap) -> Any:
    archive = Archive(data)
    root = _root(archive)
    # Older files have no such record, and come from little endian machines unless someone went out of their way.
    order = bytes(archive.read(f"{root}byteorder")) if f"{root}byteorder" in archive.records else b"little"
    if order not in ORDERS:
        raise PickleError(f"numbers in byte order {order[:20]!r}")

    def make(kind: StorageKind, key: str, count: int) -> Storage:
        raw = archive.read(f"{root}data/{key}")
        if len(raw) != count * kind.itemsize:
            raise PickleError(f"damaged: storage {key[:50]!r} of {count} numbers is {len(raw)} bytes")
        return Storage(kind, kind.decode(raw, ORDERS[order]))

    pickled = bytes(archive.read(f"{root}data.pkl"))
    value, end = unpickler.load(pickled, ALLOWED, Budget(len(data)), Storages(make))
    if end != len(pickled):
        raise PickleError(f"damaged: {len(pickled) - end} bytes follow the end of data.pkl")
    return value


def _root(archive: Archive) -> str:
    """The one folder in which everything lies."""
    names = archive.records
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise PickleError(
            "this is a TorchScript archive, a program: in PyTorch, save torch.jit.load(FILE).state_dict()"
        )
    roots = [name[: -len("data.pkl")] for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) != 1:
        raise PickleError(
            f"this is a zip archive with {len(roots)} records data.pkl in folders, and PyTorch writes one"
        )
    return roots[0]


def _read_legacy(data: mmap.mmap) -> Any:
    budget, left = Budget(len(data)), len(data)
    _, place = _head(data, budget)

    def make(kind: StorageKind, key: str, count: int) -> Storage:
        """Room that is filled below: the numbers come after the tensors. The file has to be able to hold them."""
        nonlocal left
        # Counted over all storages: many of a plausible size are too much together.
        left -= count * kind.itemsize
        if left < 0:
            raise PickleError(f"damaged: storage {key[:50]!r} of {count} numbers, more than the file holds")
        return Storage(kind, np.zeros(count, kind.dtype))

    storages = Storages(make)
    value, place = unpickler.load(data, ALLOWED, budget, storages, place)
    # Plain text, so nothing is allowed but that.
    keys, place = unpickler.load(data, {}, budget, start=place)
    texts = [key for key in keys if type(key) is str] if type(keys) is list else []
    # Every storage once, none unknown: each is filled exactly once below.
    if sorted(texts) != sorted(storages.by_key) or len(texts) != len(keys):
        raise PickleError("damaged: the list of storages is not that of the tensors")
    for key in keys:
        place = _fill(storages.by_key[key], data, place)
    if place != len(data):
        raise PickleError(f"damaged: {len(data) - place} bytes follow the last storage")
    return value


def _head(data: mmap.mmap, budget: Budget) -> Any:
    """The three pickles before the object, and the place after them."""
    head: List[Any] = []
    place = 0
    for _ in range(3):
        value, place = unpickler.load(data, {}, budget, start=place)
        head.append(value)
        # After the first pickle, not the third: other pickles need not have three.
        if head[0] != MAGIC:
            raise PickleError("this is a Python pickle: if it is a Detectron model, let its name end in .pkl")
    if head[1] != PROTOCOL:
        raise PickleError(f"a file of PyTorch's protocol {str(head[1])[:20]}, {PROTOCOL} is read")
    if type(head[2]) is not dict or head[2].get("little_endian") is not True:
        raise PickleError("numbers in an order other than little endian")
    return head, place


def _fill(storage: Storage, data: mmap.mmap, place: int) -> int:
    """Copy a storage's numbers from the file; returns the place after them."""
    count, kind = len(storage.array), storage.kind
    end = place + 8 + count * kind.itemsize
    if end > len(data):
        raise PickleError(f"truncated: {end - len(data)} bytes are missing from the storages")
    if struct.unpack_from("<q", data, place)[0] != count:
        raise PickleError(f"damaged at byte {place}: a storage of another size than its tensors say")
    storage.array[:] = kind.decode(memoryview(data)[place + 8 : end], "<")
    return end
