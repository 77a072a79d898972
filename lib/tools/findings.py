"""What a checker found, a line for each kind: five thousand annotations with one mistake are one mistake."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Iterable, Sequence

from fullconv.lib.dataset.detection.coco_format import Problem

EXAMPLES = 3
# What differs between two complaints of one kind: paths, quoted values (but not a field's name), numbers and lists.
_VARYING = re.compile(r"(?<!field )'[^']*'|\S*/\S*|[\[\](),.\s\d+-]*\d[\[\](),.\s\d+-]*")


def kind_of(problem: Problem) -> tuple[bool, str, str]:
    """Equal for problems that differ only in their record's number, and in paths, numbers and quoted values."""
    return problem.fatal, re.split(r"[ /]", problem.record)[0], _VARYING.sub(" ... ", problem.text)


def lines(problems: Sequence[Problem], every: bool = False) -> list[str]:
    """The problems as text, errors before notes.

    A line for each kind with its count and EXAMPLES records, or with `every` one for each problem.
    """
    ordered = sorted(problems, key=lambda problem: not problem.fatal)
    if every:
        return [f"{_level(problem)}: {problem}" for problem in ordered]
    groups: dict[tuple[bool, str, str], list[Problem]] = defaultdict(list)
    for problem in ordered:
        groups[kind_of(problem)].append(problem)
    return [_line(group) for group in groups.values()]


def count_line(problems: Sequence[Problem]) -> str:
    """`2 errors, 1 notes`."""
    fatal = sum(problem.fatal for problem in problems)
    return f"{fatal} errors, {len(problems) - fatal} notes"


def examples(records: Iterable[object], total: int) -> str:
    """`1, 2, 3 and 7 more`: the first EXAMPLES of `total` records."""
    shown = [str(record) for _, record in zip(range(EXAMPLES), records)]
    return ", ".join(shown) + (f" and {total - len(shown)} more" if total > len(shown) else "")


def _level(problem: Problem) -> str:
    return "error" if problem.fatal else "note"


def _line(group: list[Problem]) -> str:
    first = group[0]
    if len(group) == 1:
        return f"{_level(first)}: {first}"
    others = examples((problem.record for problem in group[1:EXAMPLES]), len(group) - 1)
    return f"{_level(first)}, {len(group)} times: {first}; the same: {others}"
