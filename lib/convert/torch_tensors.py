"""PyTorch's tensors and storages as numpy arrays: what a `.pth` file may name besides plain data.

A tensor is a view of a storage: shape, strides and offset, in elements. Several may share one storage, and do so here
too. Everything is checked against the storage before numpy sees it. (PyTorch's `torch/_utils.py`; docs, "Serialization
semantics".)
"""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, Tuple

import numpy as np

from fullconv.lib.convert.pickle_limits import Budget, PickleError, kind
from fullconv.lib.convert.pickled_arrays import NUMPY, PLAIN, is_shape
from fullconv.lib.convert.unpickler import Builder


class StorageKind:
    """A class of storages: its name, and the type of its elements in a file and here."""

    def __init__(self, name: str, code: str) -> None:
        self.name, self.code = name, code
        # numpy has no bfloat16.
        self.wide = name == "BFloat16Storage"
        self.itemsize = np.dtype(code).itemsize
        self.dtype = np.dtype("f4" if self.wide else code)

    def decode(self, raw: Any, order: str) -> np.ndarray:
        """A copy of the bytes of a storage as (count,) numbers. order: "<" or ">".

        bfloat16 is the upper half of float32. A bool other than 0 or 1 would break what numpy assumes of it.
        """
        numbers = np.frombuffer(raw, "u1" if self.code == "?" else order + self.code)
        if self.wide:
            return (numbers.astype("u4") << 16).view("f4")
        return numbers.astype(self.dtype)


class Storage:
    """Numbers that tensors are views of. array: (count,)."""

    def __init__(self, storage_kind: StorageKind, array: np.ndarray) -> None:
        self.kind, self.array = storage_kind, array


class Storages:
    """Turns the persistent ids of one file into storages; `make(kind, key, count)` does so for a key not met before."""

    def __init__(self, make: Callable[[StorageKind, str, int], Storage]) -> None:
        self.make = make
        self.by_key: Dict[str, Storage] = {}

    def __call__(self, identity: Any) -> Storage:
        """identity: ("storage", kind, key, location, count[, (view key, offset, count) or None]).

        Raises PickleError: something else, or a storage met before with another type or size.
        """
        if type(identity) is not tuple or not 5 <= len(identity) <= 6 or identity[0] != "storage":
            raise PickleError(f"a persistent id that is no storage: {str(identity)[:100]}")
        _, cls, key, _, count = identity[:5]
        if not isinstance(cls, StorageKind) or type(key) is not str or not is_shape((count,)):
            raise PickleError(f"a persistent id that is no storage: {str(identity)[:100]}")
        if key not in self.by_key:
            self.by_key[key] = self.make(cls, key, count)
        storage = self.by_key[key]
        if storage.kind is not cls or len(storage.array) != count:
            raise PickleError(
                f"storage {key[:50]!r} is {len(storage.array)} numbers of {storage.kind.name} and {count} too"
            )
        return _part(storage, identity[5]) if len(identity) == 6 and identity[5] is not None else storage


def _part(storage: Storage, view: Any) -> Storage:
    """A storage that is a slice of another (PyTorch before 0.4)."""
    if type(view) is not tuple or len(view) != 3 or not is_shape(view[1:]) or sum(view[1:]) > len(storage.array):
        raise PickleError(f"a view {str(view)[:100]} of a storage of {len(storage.array)} numbers")
    _, offset, count = view
    return Storage(storage.kind, storage.array[offset : offset + count])


def _tensor(budget: Budget, storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> np.ndarray:
    """more: whether a gradient is wanted, and hooks; neither matters to numbers."""
    good = is_shape(shape) and is_shape(strides) and is_shape((offset,)) and len(shape) == len(strides)
    if not isinstance(storage, Storage) or not good:
        raise PickleError(f"a tensor of shape {_short(shape)}, strides {_short(strides)} and offset {_short(offset)}")
    array = storage.array
    # Before anything is made: strides of 0 let one number stand for any shape.
    budget.fill(math.prod(shape) * array.itemsize)
    if 0 in shape:
        return np.zeros(shape, array.dtype)
    # Lengths and strides are not negative here, so this is the farthest element.
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides))
    if last >= len(array):
        raise PickleError(
            f"a tensor of shape {shape}, strides {strides} and offset {offset} that ends outside its storage of "
            f"{len(array)} numbers"
        )
    steps = [stride * array.itemsize for stride in strides]
    # as_strided checks nothing; the lines above have.
    return np.lib.stride_tricks.as_strided(array[offset:], shape, steps)


def _parameter(budget: Budget, data: Any, *more: Any) -> np.ndarray:
    if not isinstance(data, np.ndarray):
        raise PickleError(f"a parameter of {kind(data)}")
    return data


def _size(budget: Budget, lengths: Any = ()) -> Tuple[int, ...]:
    if not is_shape(lengths):
        raise PickleError(f"a size of {_short(lengths)}")
    return lengths


def _short(value: Any) -> str:
    return str(value)[:60] if isinstance(value, (int, tuple)) else kind(value)


KINDS = {
    name: StorageKind(name, code)
    for name, code in (
        ("FloatStorage", "f4"),
        ("DoubleStorage", "f8"),
        ("HalfStorage", "f2"),
        ("BFloat16Storage", "u2"),
        ("LongStorage", "i8"),
        ("IntStorage", "i4"),
        ("ShortStorage", "i2"),
        ("CharStorage", "i1"),
        ("ByteStorage", "u1"),
        ("BoolStorage", "?"),
    )
}

ALLOWED = {
    **PLAIN,
    **NUMPY,
    **{("torch", name): storage_kind for name, storage_kind in KINDS.items()},
    # A tensor saved on a GPU; where it lay does not matter to its numbers.
    **{("torch.cuda", name): storage_kind for name, storage_kind in KINDS.items()},
    ("torch", "Size"): Builder(_size),
    ("torch._utils", "_rebuild_tensor"): Builder(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Builder(_tensor),
    ("torch._utils", "_rebuild_parameter"): Builder(_parameter),
}
"""What a PyTorch file may name."""
