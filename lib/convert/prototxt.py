"""Protocol buffer text format: `.prototxt` files to nested messages and back, without a schema.

A message is an ordered list of (key, value, line). Values are numbers, strings, words (`true`, `MAX`) and messages.
What protobuf's own parser takes is taken: comments, either quote, `<>` for `{}`, `,` and `;` between fields, strings
behind each other, `0.75f`, hexadecimal and octal numbers, escapes, lists in brackets.
"""

from __future__ import annotations

import math
import os
import re
import sys
from typing import Any, Iterator, List, Match, NamedTuple, Optional, Tuple, Union

from fullconv.lib.convert.errors import ConvertError

MAX_BYTES, MAX_FIELDS, MAX_DEPTH, MAX_STRING = 4 << 20, 100_000, 32, 1 << 16
"""Ten times what the largest networks have. A field costs some 300 bytes and 10 microseconds here, so these limits,
and not the file, bound memory and time."""

_TOKEN = re.compile(
    r"(?P<space>[\s,;]+|#[^\n]*[\s,;]*)|(?P<word>[A-Za-z_]\w*)|(?P<mark>[{}<>:\[\]])"
    r"|(?P<number>[-+]?(?:\d|\.\d)[\w.+-]*)|(?P<quote>[\"'])",
    re.ASCII,
)
# Plain characters in one go and a repetition only at escapes: a repetition at every character would keep a mark for
# each, which is 170 bytes of memory a byte of the string.
_STRING = re.compile(r"\"[^\"\\\n]*(?:\\.[^\"\\\n]*)*\"|'[^'\\\n]*(?:\\.[^'\\\n]*)*'")
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|(.))")
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


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

    __slots__ = ("fields", "line")

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
    if b"\0" in content:
        raise ConvertError(f"{path}: not text (is it the caffemodel?)")
    try:
        return parse(_decoded(content))
    except ConvertError as error:
        raise ConvertError(f"{path}: {error}") from None


def _decoded(content: bytes) -> str:
    """Comments come in every encoding, and protobuf skips them unread; all that matters here is ASCII."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


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

    def at(self, marks: str) -> bool:
        """Is the next token one of these marks?"""
        return self.kind == "mark" and self.token in marks

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
        # Names repeat by the thousand; one string serves for all.
        key, line = sys.intern(self.token), self.line
        self.advance()
        colon = self.at(":")
        if colon:
            self.advance()
        elif not self.at("{<"):
            raise self.fail(f"':' or '{{' after {key[:40]}")
        return Field(key, self.values(depth) if self.at("[") else self.value(depth), line)

    def spend(self) -> None:
        self.budget -= 1
        if self.budget < 0:
            raise ConvertError(f"more than {MAX_FIELDS} fields: not a network")

    def values(self, depth: int) -> List[Any]:
        """`[1, 2]`: several values of one field."""
        self.advance()
        values: List[Any] = []
        while not self.at("]"):
            self.spend()
            values.append(self.value(depth))
        self.advance()
        return values

    def value(self, depth: int) -> Any:
        if self.at("{<"):
            return self.nested(depth)
        if self.kind == "string":
            return self.string()
        if self.kind not in ("number", "word"):
            raise self.fail("a value")
        value = self.number() if self.kind == "number" else Word(self.token)
        self.advance()
        return value

    def nested(self, depth: int) -> Message:
        if depth >= MAX_DEPTH:
            raise ConvertError(f"line {self.line}: more than {MAX_DEPTH} messages inside each other")
        closing = "}" if self.token == "{" else ">"
        self.advance()
        return self.message(closing, depth + 1)

    def string(self) -> str:
        """Strings behind each other are one, as in C."""
        parts = []
        while self.kind == "string":
            self.spend()
            parts.append(_unquote(self.token))
            self.advance()
        return "".join(parts)

    def number(self) -> Union[int, float]:
        # Python reads 1_000, which protobuf does not; and it takes minutes for a million digits.
        value = _number(self.token) if len(self.token) <= 40 and "_" not in self.token else math.inf
        if abs(value) < 1e300:
            return value
        raise self.fail("a number")


def _number(token: str) -> Union[int, float]:
    """What a number means, infinite where it means none."""
    digits = token.lstrip("+-")
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" and digits.isdigit() else 10
    try:
        return int(token, base)
    except ValueError:
        pass
    try:
        return float(token[:-1] if token[-1] in "fF" else token)
    except ValueError:
        return math.inf


def _tokens(text: str) -> Iterator[Tuple[str, str, int]]:
    """(kind, token, line) of everything but space and comments, then ("end", "", line) for ever."""
    place, line = 0, 1
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ConvertError(f"line {line}: {text[place : place + 20]!r} is not prototxt")
        kind = str(match.lastgroup)
        if kind == "quote":
            kind, match = "string", _string(text, place, line)
        if kind == "space":
            line += text.count("\n", place, match.end())
        else:
            yield kind, match.group(), line
        place = match.end()
    while True:
        yield "end", "", line


def _string(text: str, place: int, line: int) -> Match[str]:
    # Bounded, so that a quote that is never closed does not run through the whole file.
    match = _STRING.match(text, place, place + MAX_STRING)
    if match is None:
        end = text.find("\n", place)
        long = (len(text) if end < 0 else end) - place > MAX_STRING
        reason = f"a string of more than {MAX_STRING} characters" if long else "the string is not closed"
        raise ConvertError(f"line {line}: {text[place : place + 20]!r} is not prototxt: {reason}")
    return match


def _unquote(token: str) -> str:
    """The text meant; octal and hexadecimal escapes are bytes of UTF-8."""
    if "\\" not in token:
        return token[1:-1]
    return _ESCAPE.sub(_unescape, token[1:-1].encode("utf-8", "replace")).decode("utf-8", "replace")


def _unescape(match: Match[bytes]) -> bytes:
    octal, hexadecimal, letter = match.groups()
    if letter is not None:
        return _ESCAPES.get(letter, letter)
    return bytes([int(octal, 8) & 255 if octal else int(hexadecimal, 16)])


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
    # repr has as many digits as it takes to read the same number again.
    return repr(value) if isinstance(value, float) else str(value)
