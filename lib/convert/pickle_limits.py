"""What a pickle may cost and what it may hold."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Tuple

import numpy as np

STEPS = 200_000
"""Opcodes of one file. The largest published network with its momentum takes some 60000. One byte (an empty dict)
can take 100 bytes of memory, so that this is also what keeps a hostile file within 64 MB."""

MAX_DEPTH, MAX_VALUES = 50, 1_000_000
SMALL_KEY = 1 << 60
LEAF = (0, 1)
LEAVES = (type(None), bool, int, float, str, bytes)


class PickleError(ValueError):
    """Bytes that are no pickle, a damaged one, or one that wants more than plain data."""


class Budget:
    """What one file may cost: steps of work, and bytes of arrays built from it."""

    def __init__(self, file_size: int) -> None:
        # Twice the file: tensors may share a storage, as tied weights do. A megabyte more for small files.
        self.steps, self.bytes = STEPS, 2 * file_size + (1 << 20)

    def spend(self, steps: int = 1) -> None:
        """Raises PickleError where a file takes too many steps."""
        self.steps -= steps
        if self.steps < 0:
            raise PickleError(f"more than {STEPS} steps, which no weight file takes")

    def fill(self, size: int) -> None:
        """Raises PickleError where arrays together are larger than a file that shares some of them explains."""
        self.bytes -= size
        if self.bytes < 0:
            raise PickleError("its arrays are together more than twice as large as the file")


def as_dict(items: Iterable[Tuple[Any, Any]]) -> Dict[Any, Any]:
    """A dict, if the keys are text, bytes, None or small integers.

    Other keys let a file choose their hashes: a hundred thousand that collide take minutes, and the hash of a tuple
    that holds itself forty levels deep, twice each, never ends.
    """
    result = {}
    for key, value in items:
        if not (key is None or type(key) in (str, bytes) or isinstance(key, int) and abs(key) < SMALL_KEY):
            raise PickleError(f"a dict with {kind(key)} as a key")
        result[key] = value
    return result


def check_plain(value: Any) -> None:
    """Raises PickleError unless a value is dicts, lists, tuples, numbers, text, bytes and arrays, and not too deep.

    What a pickle mentions twice counts twice, so that whoever walks over the value meets at most `MAX_VALUES`; a value
    that holds itself is too deep.
    """
    _measure(value, {}, 0)


def _measure(value: Any, known: Dict[int, Tuple[int, int]], level: int) -> Tuple[int, int]:
    """Height and number of values. Every container is looked at once, however often it is mentioned."""
    if type(value) in LEAVES or isinstance(value, np.ndarray):
        return LEAF
    if type(value) not in (dict, list, tuple):
        raise PickleError(f"it holds {kind(value)}, and only plain data and arrays are read")
    if not value:  # not remembered: a note about an empty dict is larger than the dict
        return LEAF
    if id(value) not in known:
        if level >= MAX_DEPTH:
            raise PickleError(f"values nested deeper than {MAX_DEPTH}")
        children = value.values() if type(value) is dict else value
        height, count = 0, 1
        for child in children:
            size = LEAF if type(child) in LEAVES else _measure(child, known, level + 1)
            height, count = max(height, size[0]), count + size[1]
        # Written after its children: a value inside itself is not found here, goes on down and ends at MAX_DEPTH.
        known[id(value)] = height + 1, count
    height, count = known[id(value)]
    if level + height > MAX_DEPTH or count > MAX_VALUES:
        raise PickleError(f"values nested deeper than {MAX_DEPTH}, or more than {MAX_VALUES} of them")
    return height, count


def kind(value: Any) -> str:
    """A value's type in words."""
    return f"a {type(value).__name__.strip('_').lower()}"
