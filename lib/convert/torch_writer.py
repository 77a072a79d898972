"""Writes `.pth` files that PyTorch reads, `weights_only=True` included, and the original FCOS too.

The object is {"model": {name: tensor}}, in the zip form of PyTorch 1.6 and later, every tensor contiguous and with a
storage of its own. The few opcodes it takes are written out here.
"""

from __future__ import annotations

import os
import struct
from typing import Dict, List, Mapping, Sequence

import numpy as np

from fullconv.lib.convert import zip_archive
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.convert.torch_tensors import KINDS
from fullconv.lib.convert.zip_archive import ZipError
from fullconv.lib.utils import atomic

PROTOCOL_2, EMPTY_DICT, MARK, TUPLE, EMPTY_TUPLE, REDUCE, PERSISTENT, FALSE, SETITEM, SETITEMS, STOP = (
    b"\x80\x02",
    b"}",
    b"(",
    b"t",
    b")",
    b"R",
    b"Q",
    b"\x89",
    b"s",
    b"u",
    b".",
)
TENSOR, ORDERED_DICT = b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n"

STORAGES = {kind.dtype: name for name, kind in KINDS.items() if not kind.wide}


def write(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name; the file is whole or, if anything fails, as it was before.

    Raises:
        ConvertError: a type PyTorch lacks, 4 GB or more, or a full disk.
    """
    # The archive's folder has the file's name, as torch.save has it; some letters are not allowed there.
    root = os.path.splitext(os.path.basename(path))[0].replace(":", "_").replace("\\", "_") or "archive"
    little = {name: _little(path, name, array) for name, array in arrays.items()}
    records: Dict[str, object] = {f"{root}/data.pkl": _pickled(little), f"{root}/byteorder": b"little"}
    records.update({f"{root}/data/{key}": _bytes(array) for key, array in enumerate(little.values())})
    # 3 is the version PyTorch itself writes for tensors.
    records[f"{root}/version"] = b"3\n"
    try:
        atomic.write(path, lambda file: zip_archive.write(file, records))
    except ZipError as error:
        raise ConvertError(f"{path}: not written: {error}") from None
    except OSError as error:
        raise ConvertError(f"{path}: cannot be written: {error.strerror}; nothing was left behind") from None


def _little(path: str, name: str, array: np.ndarray) -> np.ndarray:
    """The array in C order, little endian, its shape kept (numpy would give a scalar one dimension)."""
    if array.dtype.newbyteorder("=") not in STORAGES:
        raise ConvertError(f"{path}: not written: {name} is {array.dtype}, which PyTorch lacks; convert it first")
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)


def _bytes(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view("u1").data if array.size else memoryview(b"")


def _pickled(arrays: Mapping[str, np.ndarray]) -> bytes:
    items = [_text(name) + _tensor(str(key), array) for key, (name, array) in enumerate(arrays.items())]
    model = [EMPTY_DICT, MARK, *items, SETITEMS]
    return b"".join([PROTOCOL_2, EMPTY_DICT, _text("model"), *model, SETITEM, STOP])


def _tensor(key: str, array: np.ndarray) -> bytes:
    """A call of PyTorch's function: storage, offset, shape, strides, no gradient, no hooks."""
    storage = b"ctorch\n" + STORAGES[array.dtype.newbyteorder("=")].encode() + b"\n"
    identity = [MARK, _text("storage"), storage, _text(key), _text("cpu"), _integer(array.size), TUPLE, PERSISTENT]
    # An empty product is 1, the last axis's stride, and int64 as numpy would make it a float.
    strides = [int(np.prod(array.shape[axis + 1 :], dtype=np.int64)) for axis in range(array.ndim)]
    hooks = [ORDERED_DICT, EMPTY_TUPLE, REDUCE]
    arguments = [*identity, _integer(0), _integers(array.shape), _integers(strides), FALSE, *hooks]
    return b"".join([TENSOR, MARK, *arguments, TUPLE, REDUCE])


def _text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _integer(value: int) -> bytes:
    if value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    # LONG1 with eight bytes.
    return b"\x8a\x08" + struct.pack("<q", value)


def _integers(values: Sequence[int]) -> bytes:
    parts: List[bytes] = [_integer(value) for value in values]
    return b"".join([MARK, *parts, TUPLE])
