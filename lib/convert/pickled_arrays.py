"""What a pickle of numbers may name: ordered dicts, and numpy arrays as numpy itself pickles them.

Python 2 and 3, all protocols, numpy 1 and 2 (`numpy/core/src/multiarray/methods.c`, `array_reduce` and
`array_setstate`). Numbers come in the byte order of this machine. Arrays of objects, records, dates and text are
refused: no weights are stored so.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Union

import numpy as np

from fullconv.lib.convert.pickle_limits import Budget, PickleError, as_dict, kind
from fullconv.lib.convert.unpickler import Builder, Stateful

MAX_DIMS = 32
NUMBERS = "biuf"


class PickledType(Stateful):
    """A dtype, whose byte order arrives after it."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype

    def take_state(self, budget: Budget, state: Any) -> None:
        """state: (version, byte order, and what only records have)."""
        plain = type(state) is tuple and len(state) >= 5 and state[2:5] == (None, None, None)
        if not plain or state[1] not in ("<", ">", "|", "="):
            raise PickleError("a type of array elements that is no number")
        self.dtype = self.dtype.newbyteorder(state[1])


class PickledArray(np.ndarray, Stateful):
    """An array that is empty until its state arrives. It has to be filled in place: others may refer to it already."""

    def take_state(self, budget: Budget, state: Any) -> None:
        """state: (version, shape, type, Fortran order or not, bytes)."""
        if type(state) is not tuple or len(state) != 5:
            raise PickleError("an array whose state is not (version, shape, type, order, bytes)")
        _, shape, dtype, fortran, raw = state
        content = _content(budget, shape, dtype, raw)
        # numpy's own, with a state that has been checked part by part: version 1 and a plain type.
        self.__setstate__((1, shape, dtype.dtype, bool(fortran), content))


def _dtype(budget: Budget, name: Any, align: Any = False, copy: Any = True) -> PickledType:
    if not isinstance(name, str) or name[:1] not in NUMBERS or not name[1:].isdigit():
        raise PickleError(f"arrays of {str(name)[:20]!r}, and only numbers are read")
    return PickledType(np.dtype(name))


def _content(budget: Budget, shape: Any, dtype: Any, raw: Any) -> bytes:
    """The bytes of an array, once they are known to be as many as it needs. Python 2 has them as text."""
    if isinstance(raw, str):
        raw = raw.encode("latin-1")
    if not isinstance(raw, bytes) or not isinstance(dtype, PickledType) or not is_shape(shape):
        raise PickleError(f"an array of shape {str(shape)[:50]} in {kind(raw)} of {kind(dtype)}")
    # In Python's integers, which cannot overflow as numpy's do.
    size = math.prod(shape) * dtype.dtype.itemsize
    if size != len(raw):
        raise PickleError(f"an array of shape {shape} that takes {size} bytes where the file has {len(raw)}")
    budget.fill(size)
    return raw


def is_shape(value: Any) -> bool:
    """Whether this is a tuple of lengths."""
    return type(value) is tuple and len(value) <= MAX_DIMS and all(type(n) is int and 0 <= n < 1 << 48 for n in value)


def _reconstruct(budget: Budget, cls: Any, shape: Any, code: Any) -> PickledArray:
    if cls is not NDARRAY:
        raise PickleError("an array of a class that is not numpy.ndarray")
    # Whatever shape the file gives: the real one comes with the state, as do the numbers.
    return PickledArray(0)


def _from_buffer(budget: Budget, raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """Protocol 5."""
    content = _content(budget, shape, dtype, raw)
    array = np.frombuffer(content, dtype.dtype).reshape(shape, order="F" if order == "F" else "C")
    return array.astype(dtype.dtype.newbyteorder("="), copy=False)


def _scalar(budget: Budget, dtype: Any, raw: Any) -> Union[bool, int, float]:
    return np.frombuffer(_content(budget, (), dtype, raw), dtype.dtype)[0].item()


def _encode(budget: Budget, text: Any, encoding: Any = "") -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise PickleError("a text in an encoding other than latin1")
    budget.fill(len(text))
    return text.encode("latin-1")


def _no_bytes(budget: Budget) -> bytes:
    """How Python 3 writes empty bytes for Python 2: `bytes()`."""
    return b""


def _ordered_dict(budget: Budget, items: Any = ()) -> Dict[Any, Any]:
    """An OrderedDict or Counter becomes a dict, which keeps its order. Python 2 gives the items here, as a list."""
    if type(items) not in (dict, list, tuple):
        raise PickleError(f"an ordered dict of {kind(items)}")
    budget.spend(len(items))
    return as_dict(items.items() if type(items) is dict else items)


NDARRAY = object()

PLAIN = {
    ("collections", "OrderedDict"): Builder(_ordered_dict),
    ("collections", "Counter"): Builder(_ordered_dict),
    ("_codecs", "encode"): Builder(_encode),
    ("__builtin__", "bytes"): Builder(_no_bytes),
}
"""Allowed everywhere."""

NUMPY = {
    ("numpy", "ndarray"): NDARRAY,
    ("numpy", "dtype"): Builder(_dtype),
    **{
        (f"numpy.{core}.{module}", name): Builder(build)
        # numpy 2 has renamed the module.
        for core in ("core", "_core")
        for module, name, build in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}
