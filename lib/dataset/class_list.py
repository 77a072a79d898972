"""Class lists: one name per line, and what programs write besides.

labelme's lists begin with `__ignore__` (label -1) and `_background_` (label 0), others number their lines. Taken for
names they would add classes and shift all that follow, so that every object gets the name of another class.
"""

from __future__ import annotations

import re

from fullconv.lib.dataset.background import is_background, is_ignored
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.notice import say_once
from fullconv.lib.dataset.text_files import read_lines

_NUMBERED = re.compile(r"(\d+)(\s*[:.)=,]\s*|\s+)(\S.*)")


def object_names(path: str) -> list[str]:
    """Names of the classes 1, 2, ... in a list for maps whose 0 is the background, which may stand first.

    Raises DatasetError: as `label_names`, or a background elsewhere, or numbers that mean other labels.
    """
    names, start = _read(path)
    if is_background(names[0]):
        _check_start(path, names, start, 0)
        say_once(f"{path}: {names[0]!r} is label 0 and no class of objects; label 1 is {''.join(names[1:2])!r}")
        names = names[1:]
    else:
        _check_start(path, names, start, 1)
    if not names:
        raise DatasetError(f"{path}: the class list has no class but the background: write one name per line")
    if any(map(is_background, names)):
        raise DatasetError(f"{path}: the background is label 0: make it the first line, or take it out")
    return names


def label_names(path: str) -> list[str]:
    """Names of the labels 0, 1, ...

    Raises DatasetError: missing or empty file, another encoding, a name twice, numbers that are not 0, 1, ...
    """
    names, start = _read(path)
    _check_start(path, names, start, 0)
    return names


def _read(path: str) -> tuple[list[str], int | None]:
    """The names, and the number of the first when lines are numbered; without labelme's `__ignore__`."""
    names, start = _without_numbers(path, read_lines(path, "class list"))
    if names and is_ignored(names[0]):
        say_once(f"{path}: {names[0]!r} names no label and is left out")
        names, start = names[1:], None if start is None else start + 1
    if not names:
        raise DatasetError(f"{path}: the class list is empty: write one name per line")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DatasetError(f"{path}: class {twice!r} is listed twice: rename one")
    return names, start


def _without_numbers(path: str, lines: list[str]) -> tuple[list[str], int | None]:
    """Lines such as `1: person` or `1 person`, when all of them are numbered one after the other."""
    found = [match for match in map(_NUMBERED.fullmatch, lines) if match]
    numbers, names = [int(match[1]) for match in found], [match[3] for match in found]
    stated = [match for match in found if match[2].strip() == ":"]
    rising = numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else False
    if stated and not (rising and len(found) == len(lines)):
        raise DatasetError(
            f"{path}: lines are numbered as {stated[0][0]!r}, but not all of them one after the other: number every "
            "line, or none"
        )
    # "2 euro", "50 cent" are names; so are "1 euro", "2 euro", which would be one name.
    if not found or not rising or len(found) != len(lines) or len(set(names)) != len(names):
        return lines, None
    if not stated and numbers[0] > 1:
        return lines, None
    say_once(f"{path}: lines are numbered: {lines[0]!r} is taken for {names[0]!r} with number {numbers[0]}")
    return names, numbers[0]


def _check_start(path: str, names: list[str], start: int | None, expected: int) -> None:
    if start not in (None, expected):
        what = "the background is label 0" if expected or is_background(names[0]) else "labels count from 0"
        raise DatasetError(
            f"{path}: {names[0]!r} has number {start}, where {expected} is needed because {what}: correct the numbers, "
            "or leave them out and write every name in its place"
        )
