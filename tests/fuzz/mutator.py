"""Changes that make damaged and hostile files of whole ones, the same ones for the same number."""

from __future__ import annotations

import re
from typing import Sequence

import numpy as np

BYTES = (0, 1, 0x7F, 0x80, 0xFF, *b"\"'()*:<>[\\]{}&,.-")
INTEGERS = (0, 1, -1, 0x7F, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1)
WORDS = (b"0", b"-1", b"1e308", b"nan", b"99999999999999999999", b"null", b"[]", b"{}", b'""', b"true", b"..", b"&#0;")
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")


def mutate(rng: np.random.RandomState, content: bytes, others: Sequence[bytes]) -> bytes:
    """`content` after one to eight changes; pieces of `others` may come in."""
    data = bytearray(content)
    for _ in range(1 + rng.randint(8) * rng.randint(2)):
        place, size = rng.randint(len(data) + 1), 1 + rng.randint(32)
        _CHANGES[rng.randint(len(_CHANGES))](rng, data, place, size, others)
    return bytes(data)


def _set(rng, data, place, size, others):
    data[place : place + 1] = bytes([BYTES[rng.randint(len(BYTES))] if rng.randint(2) else rng.randint(256)])


def _flip(rng, data, place, size, others):
    if place < len(data):
        data[place] ^= 1 << rng.randint(8)


def _cut(rng, data, place, size, others):
    del data[place : place + size]


def _repeat(rng, data, place, size, others):
    data[place:place] = data[place : place + size] * (1 + rng.randint(4) ** 4)


def _move(rng, data, place, size, others):
    start = rng.randint(len(data) + 1)
    data[place:place] = data[start : start + size]


def _end(rng, data, place, size, others):
    if rng.randint(4) == 0:
        del data[place:]


def _integer(rng, data, place, size, others):
    """A length or a count, in either byte order."""
    width = 1 << rng.randint(1, 4)
    number = INTEGERS[rng.randint(len(INTEGERS))] & ((1 << 8 * width) - 1)
    data[place : place + width] = number.to_bytes(width, ("little", "big")[rng.randint(2)])


def _word(rng, data, place, size, others):
    """Another value for a number that is written out."""
    found = NUMBER.search(data, place)
    if found:
        data[found.start() : found.end()] = WORDS[rng.randint(len(WORDS))]


def _splice(rng, data, place, size, others):
    other = others[rng.randint(len(others))]
    start = rng.randint(len(other) + 1)
    data[place : place + size] = other[start : start + size * 4]


_CHANGES = (_set, _set, _flip, _cut, _repeat, _move, _end, _integer, _integer, _word, _splice)
