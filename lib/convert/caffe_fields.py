"""Fields of a layer in a prototxt, each asked for by what it means: a number, a flag, a member of an enumeration.

The text of a prototxt says nothing of types, so `1` may be a number, a flag or a member of an enumeration, as in
protobuf's own parser. Strict: a field that nobody asks for is an error.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence, Tuple

from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.convert.prototxt import Message, Word
from fullconv.lib.network.caffe.layer import Size

# Kernels, strides and padding are far below 4096; channels and lengths are not.
LARGEST = {"num_output": 1 << 20, "dim": 1 << 20}
"""Larger values, and others above 4096, are taken for damage."""

# The spellings that protobuf's text parser takes.
FLAGS = {"true": True, "True": True, "t": True, "1": True, "false": False, "False": False, "f": False, "0": False}

SHOWN = 60
"""Letters of a name in an error."""


class Scope(NamedTuple):
    """A message inside a layer, with the layer's name for errors. Every field must be asked for or allowed."""

    layer: str
    message: Message

    def allow(self, *fields: str) -> None:
        """Raise for the first field not among `fields`."""
        for field in self.message.fields:
            if field.key not in fields:
                known = ", ".join(fields) or "nothing"
                raise self.error(f"{field.key[:SHOWN]} is not supported; known here: {known}")

    def integer(self, key: str, default: int = -1, least: int = 1) -> int:
        """A number; required without a default."""
        value = self.message.get(key, default)
        # -1 is the default of a field without one; where it is a value, as in `axis`, the caller asks with a lower
        # `least`.
        if value == -1 and least >= 0 and not self.message.all(key):
            raise self.error(f"{key} is missing")
        return self._checked(key, value, least)

    def _checked(self, key: str, value: Any, least: int) -> int:
        most = LARGEST.get(key, 4096)
        if not isinstance(value, int) or not least <= value <= most:
            raise self.error(f"{key}: a number from {least} to {most} is expected, found {_shown(value)}")
        return value

    def size(self, key: str, default: int = -1, least: int = 1) -> Size:
        """`kernel_size: 3`, `kernel_size: 3 kernel_size: 5` or `kernel_h: 3 kernel_w: 5`; required without default."""
        stem = key.replace("_size", "")
        apart = [self.message.get(f"{stem}_{axis}") for axis in "hw"]
        values = self.message.all(key)
        if apart != [None, None]:
            # Caffe has a default for half a padding only.
            missing = default if stem == "pad" else None
            if values or None in apart and missing is None:
                raise self.error(f"{stem}: state {key}, or both {stem}_h and {stem}_w")
            values = [missing if value is None else value for value in apart]
        if len(values) > 2:
            raise self.error(f"{key}: {len(values)} axes; images have two")
        if not values:
            return self.integer(key, default, least)
        sizes = [self._checked(key, value, least) for value in values]
        # One number wherever possible, as rows of square kernels are written.
        return sizes[0] if sizes[0] == sizes[-1] else (sizes[0], sizes[1])

    def real(self, key: str, default: float) -> float:
        value = self.message.get(key, default)
        # `not <`, so that NaN fails too.
        if not isinstance(value, (int, float)) or not abs(value) < 1e30:
            raise self.error(f"{key}: a number is expected, found {_shown(value)}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        # As text, since the same flag may come as a number, a word or our default.
        value = str(self.message.get(key, Word(default)))
        if value not in FLAGS:
            raise self.error(f"{key}: true or false is expected, found {value[:SHOWN]!r}")
        return FLAGS[value]

    def choice(self, key: str, members: Sequence[str], default: str) -> str:
        """A member of an enumeration, as a word or as its number; `members` are in the order of their numbers."""
        value = self.message.get(key, Word(default))
        if isinstance(value, int) and 0 <= value < len(members):
            return members[value]
        if value not in members:
            raise self.error(f"{key}: {_shown(value)} is not known; it is one of {', '.join(members)}")
        return str(value)

    def only(self, key: str, meaning: Any) -> None:
        """The field may be stated, with its usual value."""
        value = self.message.get(key, meaning)
        if value != meaning:
            raise self.error(f"{key}: {_shown(value)} is not supported, only {meaning!r}")

    def inner(self, key: str) -> Scope:
        """A sub-message; an empty one when absent."""
        value = self.message.get(key, Message(line=self.message.line))
        if not isinstance(value, Message):
            raise self.error(f"{key}: a message in braces is expected")
        return Scope(self.layer, value)

    def texts(self, key: str) -> Tuple[str, ...]:
        values = self.message.all(key)
        if not all(isinstance(value, str) for value in values):
            raise self.error(f"{key}: text is expected")
        return tuple(values)

    def error(self, text: str) -> ConvertError:
        return ConvertError(f"layer {self.layer[:SHOWN]!r} (line {self.message.line}): {text}")


def _shown(value: Any) -> str:
    return "a message" if isinstance(value, Message) else repr(value)[:SHOWN]
