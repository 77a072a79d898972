"""Values as exporters write them: numbers in quotes, ids with a fraction, lists as text."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


def number(value: Any) -> float | int | None:
    """A finite number, also from text; None for anything else. Whole numbers come back as int."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else value


def whole(value: Any) -> int | None:
    """`number`, if it has no fraction."""
    found = number(value)
    return found if isinstance(found, int) else None


def as_id(value: Any) -> int | str | None:
    """74 for 74, 74.0, "74" and "074"; other text as it is, 12e5 too; None where there is no id."""
    if isinstance(value, str):
        return int(float(value)) if re.fullmatch(r"\s*\d{1,15}(\.0*)?\s*", value) else value.strip() or None
    return whole(value)


def as_written(value: Any, read: Any) -> bool:
    """Whether the file has the value in the very form `read` has: 74.0 is not 74, True is not 1."""
    return type(value) is type(read) and value == read


def unpack(value: Any) -> Any:
    """Lists and objects that were written as text; also `1, 2, 3, 4` and `1 2 3 4`. Else the value itself."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        words = [word for word in re.split(r"[,\s]+", value.strip("[]() \t\n")) if word]
        found = words if len(words) > 1 and all(number(word) is not None for word in words) else value
    return found if isinstance(found, (list, dict)) else value


def without_nan(value: Any) -> Any:
    """The value with null for each NaN and infinity, which JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    return value
