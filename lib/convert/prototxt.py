"""Protocol buffer text format: `.prototxt` files to nested messages and back, without a schema.

A message is an ordered list of (key, value, line). Values are numbers, strings, words (`true`, `MAX`) and messages.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple, Union

from fullconv.lib.convert.errors import ConvertError

MAX_BYTES, MAX_FIELDS, MAX_DEPTH = 16 << 20, 200_000, 32

_TOKEN = re.compile(
    r"(?P<space>[\s,;]+|\#[^\n]*)|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<mark>[{}<>:\[\]])"
    r"|(?P<number>[-+]?(?:\d|\.\d)[\w.+-]*)|(?P<string>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}


class Word(str):
    """An unquoted word: an enumeration's member, true or false."""


Scalar = Union[int, float, str, Word]


class Field(NamedTuple):
    """One `key: value` or `key { ... }`, and its line."""

    key: str
    value: Any
    line: int


class Message:
    """Fields in order, and the line the message starts in."""

    def __init__(self, fields: Optional[List[Field]] = None, line: int = 0) -> None:
        self.fields, self.line = fields or [], line

    def add(self, key: str, value: Any) -> Message:
        """Append a field; returns the message, so that calls chain."""
        self.fields.append(Field(key, value, 0))
        return self

    def all(self, key: str) -> List[Any]:
        """Values of a repeated field, those of lists (`dim: [1, 3]`) one by one."""
        found: List[Any] = []
        for field in self.fields:
            if field.key == key:
                found.extend(field.value if isinstance(field.value, list) else [field.value])
        return found

    def get(self, key: str, default: Any = None) -> Any:
        """The last value of a field, as the format has it, or the default."""
        values = self.all(key)
        return values[-1] if values else default

    def keys(self) -> List[str]:
        """Names of the fields that occur."""
        return list(dict.fromkeys(field.key for field in self.fields))


def load(path: str) -> Message:
    """Read a `.prototxt`.

    Raises:
        FileNotFoundError: no such file.
        ConvertError: it is not text of this format; names the line.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file")
    if os.path.getsize(path) > MAX_BYTES:
        raise ConvertError(f"{path}: larger than {MAX_BYTES >> 20} MB: not a prototxt (is it the caffemodel?)")
    with open(path, "rb") as file:
        content = file.read()
    try:
        return parse(content.decode())
    except UnicodeDecodeError:
        raise ConvertError(f"{path}: not text (is it the caffemodel?)") from None
    except ConvertError as error:
        raise ConvertError(f"{path}: {error}") from None


def parse(text: str) -> Message:
    """A message from text; `ConvertError` names the line that is wrong."""
    return _Parser(text).message()


class _Parser:
    """Recursive descent with one token of look-ahead and a bounded depth."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.budget = MAX_FIELDS
        self.advance()

    def advance(self) -> None:
        self.kind, self.token, self.line = next(self.tokens)

    def fail(self, expected: str) -> ConvertError:
        shown = "the end" if self.kind == "end" else repr(self.token[:40])
        return ConvertError(f"line {self.line}: {expected} expected, found {shown}")

    def message(self, closing: str = "", depth: int = 0) -> Message:
        message = Message(line=self.line)
        while self.token != closing or self.kind not in ("mark", "end"):
            if self.kind != "word":
                raise self.fail(f"a field name or {closing!r}" if closing else "a field name")
            message.fields.append(self.field(depth))
        if closing:
            self.advance()
        return message

    def field(self, depth: int) -> Field:
        self.spend()
        key, line = self.token, self.line
        self.advance()
        colon = self.kind == "mark" and self.token == ":"
        if colon:
            self.advance()
        if self.kind == "mark" and self.token in "{<":
            return Field(key, self.nested(depth), line)
        if not colon:
            raise self.fail(f"':' or '{{' after {key}")
        return Field(key, self.value(), line)

    def spend(self) -> None:
        self.budget -= 1
        if self.budget < 0:
            raise ConvertError(f"more than {MAX_FIELDS} fields: not a network")

    def nested(self, depth: int) -> Message:
        if depth >= MAX_DEPTH:
            raise ConvertError(f"line {self.line}: more than {MAX_DEPTH} messages inside each other")
        closing = "}" if self.token == "{" else ">"
        self.advance()
        return self.message(closing, depth + 1)

    def value(self) -> Union[Scalar, List[Scalar]]:
        if self.kind == "mark" and self.token == "[":
            self.advance()
            values = []
            while self.token != "]" or self.kind != "mark":
                self.spend()
                values.append(self.scalar())
            self.advance()
            return values
        return self.scalar()

    def scalar(self) -> Scalar:
        if self.kind == "number":
            value: Scalar = self.number()
        elif self.kind == "word":
            value = Word(self.token)
        elif self.kind == "string":
            value = _unquote(self.token)
        else:
            raise self.fail("a value")
        self.advance()
        return value

    def number(self) -> Union[int, float]:
        if len(self.token) <= 40 and "_" not in self.token:
            for convert in (int, float):
                with contextlib.suppress(ValueError):
                    value = convert(self.token)
                    if abs(value) < 1e300:
                        return value
        raise self.fail("a number")


def _tokens(text: str) -> Iterator[Tuple[str, str, int]]:
    """(kind, token, line) of everything but space and comments, then ("end", "", line) for ever."""
    place, line = 0, 1
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ConvertError(f"line {line}: {text[place : place + 20]!r} is not prototxt")
        if match.lastgroup != "space":
            yield match.lastgroup, match.group(), line
        line += match.group().count("\n")
        place = match.end()
    while True:
        yield "end", "", line


def _unquote(token: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match.group(1), match.group(0)), token[1:-1])


# ------------------------------------------------------------------------------------------------ writing


def dump(message: Message, indent: str = "") -> str:
    """Text of a message, one field a line."""
    return "".join(_dump_field(field, indent) for field in message.fields)


def _dump_field(field: Field, indent: str) -> str:
    if isinstance(field.value, Message):
        return f"{indent}{field.key} {{\n{dump(field.value, indent + '  ')}{indent}}}\n"
    return f"{indent}{field.key}: {_dump_scalar(field.value)}\n"


def _dump_scalar(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and not isinstance(value, Word):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return repr(value) if isinstance(value, float) else str(value)
