"""Reads pickles into plain data, and never executes anything that stands in them.

A pickle is a program for a stack machine. This is that machine without the part that calls what the file names: a
global is looked up in a table of the caller's and nowhere else, and what the table holds builds arrays and dicts only.
It is not a `pickle.Unpickler` with its `find_class` overridden, because that cannot be bounded: the C version sizes its
memo by an index in the file (a 7-byte pickle takes gigabytes), believes lengths, hashes nested tuples and calls
`__setstate__`. Nor is it built on `pickletools.genops`, which decodes an argument of any length before one can refuse.

Protocols 0 to 5 (opcodes as described in CPython's `Lib/pickletools.py`). Byte strings of Python 2 become text, as with
`encoding="latin1"`. What comes back holds dict, list, tuple, str, bytes, numbers, bool, None and numpy arrays.
"""

from __future__ import annotations

import struct
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Optional, Tuple

from fullconv.lib.convert.pickle_bytes import LONG_NAME, LONG_TEXT, Data, PickleBytes
from fullconv.lib.convert.pickle_limits import Budget, PickleError, as_dict, check_plain, kind


class Builder:
    """Something a pickle may call: `build(budget, *arguments)`, which has to check them."""

    def __init__(self, build: Callable[..., Any]) -> None:
        self.build = build


Allowed = Mapping[Tuple[str, str], Any]
"""(module, name) -> a `Builder`, or an inert object that builders and `persistent` understand."""


def load(
    data: Data,
    allowed: Allowed,
    budget: Optional[Budget] = None,
    persistent: Optional[Callable[[Any], Any]] = None,
    start: int = 0,
) -> Tuple[Any, int]:
    """The value pickled at `start`, and the place after it.

    Args:
        budget: shared by the pickles of one file; one for the size of `data` when not given.
        persistent: what stands for a persistent id; without it, ids are refused.

    Raises:
        PickleError: truncated, damaged, too costly, or asking for something that is not allowed; the text names it.
    """
    machine = _Machine(data, allowed, budget or Budget(len(data)), persistent, start)
    try:
        value = machine.run()
    except PickleError:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, struct.error) as error:
        raise PickleError(f"damaged at byte {machine.place}: {str(error)[:200]}") from None
    check_plain(value)
    return value, machine.place


class _Machine(PickleBytes):
    """Stack, marks and memo of one pickle."""

    def __init__(
        self, data: Data, allowed: Allowed, budget: Budget, persistent: Optional[Callable[[Any], Any]], place: int
    ) -> None:
        super().__init__(data, place)
        self.allowed, self.budget, self.persistent = allowed, budget, persistent
        self.stack: List[Any] = []
        self.marks: List[int] = []
        self.memo: Dict[int, Any] = {}  # a dict, not a list: indices are the file's and may be 2**32 - 1

    def run(self) -> Any:
        while True:
            self.budget.spend()
            code = self.byte()
            if code == ord("."):
                return self.pop()
            action = ACTIONS.get(code)
            if action is None:
                self.refuse(f"opcode {REFUSED.get(code, hex(code))}")
            action(self)

    # --------------------------------------------------------------------------------------------- stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        self.peek()
        return self.stack.pop()

    def peek(self) -> Any:
        # Nothing below the last mark may be taken: those values belong to a container that is not finished.
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise PickleError(f"damaged at byte {self.place}: nothing left to take from the stack")
        return self.stack[-1]

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def pop_mark(self) -> List[Any]:
        """All values above the last mark."""
        if not self.marks:
            raise PickleError(f"damaged at byte {self.place}: no mark")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def pop_or_mark(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop()

    def pop_tuple(self, size: int) -> None:
        # The last value pushed comes off first.
        self.push(tuple([self.pop() for _ in range(size)][::-1]))

    def put(self, index: int) -> None:
        self.memo[index] = self.peek()

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise PickleError(f"damaged at byte {self.place}: nothing is remembered as {index}")
        self.push(self.memo[index])

    def extend(self, values: List[Any]) -> None:
        target = self.peek()
        if type(target) is not list:
            self.refuse(f"appending to {kind(target)}")
        target.extend(values)

    def append(self) -> None:
        value = self.pop()
        self.extend([value])

    def update(self, values: List[Any]) -> None:
        target = self.peek()
        if type(target) is not dict or len(values) % 2:
            self.refuse(f"setting items of {kind(target)}")
        target.update(as_dict(zip(values[::2], values[1::2])))

    def pop_dict(self) -> None:
        values = self.pop_mark()
        self.push({})
        self.update(values)

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.update([key, value])

    # -------------------------------------------------------------------------- globals, calls and states

    def find(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            self.refuse(f"{module}.{name}"[:200])
        return self.allowed[module, name]

    def find_line(self) -> Any:
        module, name = self.line(LONG_NAME), self.line(LONG_NAME)
        return self.find(module.decode(), name.decode())

    def find_stack(self) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            self.refuse("a global without a name")
        self.push(self.find(module, name))

    def instance(self) -> None:
        """Protocol 0's way to make an object; the lines are read to say of which class."""
        self.find_line()
        self.refuse("opcode INST")

    def call(self) -> None:
        arguments, builder = self.pop(), self.pop()
        if not isinstance(builder, Builder) or type(arguments) is not tuple:
            self.refuse(f"a call of {kind(builder)}")
        self.push(builder.build(self.budget, *arguments))

    def build(self) -> None:
        """Give an object its state. A dict's is what a subclass of it carries besides (`_metadata` of a state_dict)."""
        state, target = self.pop(), self.peek()
        if type(target) is dict and type(state) is dict:
            return
        if not isinstance(target, Stateful):
            self.refuse(f"a state for {kind(target)}")
        self.stack[-1].take_state(self.budget, state)

    def persist(self, identity: Any) -> None:
        if self.persistent is None:
            self.refuse("a persistent id")
        self.push(self.persistent(identity))

    def refuse(self, what: str) -> NoReturn:
        raise PickleError(f"byte {self.place} asks for {what}, and only plain data and arrays are read")


class Stateful:
    """What a builder makes when the file completes it later, with BUILD."""

    def take_state(self, budget: Budget, state: Any) -> None:
        raise NotImplementedError


ACTIONS: Dict[int, Callable[[_Machine], None]] = {
    ord(code): action
    for code, action in {
        # the stack and the memo
        "(": _Machine.mark,
        "0": _Machine.pop_or_mark,
        "1": lambda m: m.pop_mark().clear(),
        "2": lambda m: m.push(m.peek()),
        "p": lambda m: m.put(m.text_integer()),
        "q": lambda m: m.put(m.byte()),
        "r": lambda m: m.put(m.number("<I")),
        # MEMOIZE counts by itself.
        "\x94": lambda m: m.put(len(m.memo)),
        "g": lambda m: m.get(m.text_integer()),
        "h": lambda m: m.get(m.byte()),
        "j": lambda m: m.get(m.number("<I")),
        # numbers
        "N": lambda m: m.push(None),
        "\x88": lambda m: m.push(True),
        "\x89": lambda m: m.push(False),
        "I": lambda m: m.push(m.text_bool_or_integer()),
        "L": lambda m: m.push(m.text_integer()),
        "K": lambda m: m.push(m.byte()),
        "M": lambda m: m.push(m.number("<H")),
        "J": lambda m: m.push(m.number("<i")),
        "\x8a": lambda m: m.push(m.integer(m.byte())),
        "\x8b": lambda m: m.push(m.integer(m.number("<I"))),
        "F": lambda m: m.push(float(m.line())),
        "G": lambda m: m.push(m.number(">d")),
        # text and bytes
        "S": lambda m: m.push(m.quoted()),
        "T": lambda m: m.push(m.take(m.number("<i")).decode("latin-1")),
        "U": lambda m: m.push(m.take(m.byte()).decode("latin-1")),
        "V": lambda m: m.push(m.line(LONG_TEXT).decode("raw_unicode_escape")),
        "X": lambda m: m.push(m.text(m.number("<I"))),
        "\x8c": lambda m: m.push(m.text(m.byte())),
        "\x8d": lambda m: m.push(m.text(m.number("<Q"))),
        "B": lambda m: m.push(m.take(m.number("<I"))),
        "C": lambda m: m.push(m.take(m.byte())),
        "\x8e": lambda m: m.push(m.take(m.number("<Q"))),
        "\x96": lambda m: m.push(m.take(m.number("<Q"))),
        # containers
        ")": lambda m: m.push(()),
        "t": lambda m: m.push(tuple(m.pop_mark())),
        "\x85": lambda m: m.pop_tuple(1),
        "\x86": lambda m: m.pop_tuple(2),
        "\x87": lambda m: m.pop_tuple(3),
        "]": lambda m: m.push([]),
        "l": lambda m: m.push(m.pop_mark()),
        "a": _Machine.append,
        "e": lambda m: m.extend(m.pop_mark()),
        "}": lambda m: m.push({}),
        "d": _Machine.pop_dict,
        "s": _Machine.set_item,
        "u": lambda m: m.update(m.pop_mark()),
        # what the allow-list is for
        "c": lambda m: m.push(m.find_line()),
        "\x93": _Machine.find_stack,
        "i": _Machine.instance,
        "R": _Machine.call,
        "b": _Machine.build,
        "P": lambda m: m.persist(m.line(LONG_NAME).decode()),
        "Q": lambda m: m.persist(m.pop()),
        # framing, which says nothing that the opcodes do not
        "\x80": lambda m: m.protocol(),
        "\x95": lambda m: m.frame(),
    }.items()
}

REFUSED = {
    ord(code): name
    for code, name in {
        "o": "OBJ",
        "\x81": "NEWOBJ",
        "\x92": "NEWOBJ_EX",
        "\x82": "EXT1",
        "\x83": "EXT2",
        "\x84": "EXT4",
        "\x8f": "EMPTY_SET",
        "\x90": "ADDITEMS",
        "\x91": "FROZENSET",
        "\x97": "NEXT_BUFFER",
        "\x98": "READONLY_BUFFER",
    }.items()
}
