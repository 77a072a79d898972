"""What an exported file says about itself besides ONNX's own words: everything that is done in front of the network and
behind it, so that no other file is needed. Each value is json under `fullconv.<key>`."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple, Type, TypeVar, Union, get_type_hints

import numpy as np

from fullconv.lib.export.onnx_format import OPSET, PRODUCER, Head, read_head

FORM = 1
"""Of the metadata; another form has another number."""

VERSION = "0.1.0"
"""Of this package, in files that it writes."""

PREFIX = "fullconv."
_Spec = TypeVar("_Spec")


class MetadataError(ValueError):
    """A file that is no export of this package, or not of the method at hand; the text names it and the remedy."""


def texts(method: str, values: Mapping[str, Any]) -> Dict[str, str]:
    """The metadata of a model. values: numbers, texts, lists, dictionaries, NamedTuples and dataclasses by key."""
    every = {"form": FORM, "version": VERSION, "method": method, **values}
    return {PREFIX + key: json.dumps(_plain(value), allow_nan=False) for key, value in every.items()}


def _plain(value: Any) -> Any:
    """As json takes it."""
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


class Description(NamedTuple):
    """The metadata of one file."""

    path: str
    head: Head
    values: Mapping[str, Any]

    def value(self, key: str) -> Any:
        """The value of a key. Raises MetadataError: there is none."""
        if key not in self.values:
            raise MetadataError(f"{self.path}: its metadata lacks {PREFIX}{key}: export the model again")
        return self.values[key]

    def spec(self, key: str, kind: Type[_Spec]) -> _Spec:
        """A NamedTuple or dataclass. Raises MetadataError: the value is missing, or no such thing."""
        return _restored(kind, self.value(key), f"{self.path}: {PREFIX}{key}")

    def categories(self, key: str) -> Dict[int, str]:
        """Category id -> name. Raises MetadataError: the value is missing, or something else."""
        found = self.value(key)
        if not isinstance(found, dict) or not all(map(_is_category, found.items())):
            raise MetadataError(f"{self.path}: {PREFIX}{key} must be names by category id, it is {found!r}")
        return {int(number): name for number, name in found.items()}


def _is_category(item: Tuple[str, Any]) -> bool:
    return item[0].isdecimal() and isinstance(item[1], str)


def describe(path: str, method: str, remedy: str) -> Description:
    """What the file at `path` says. method: whose it must be. remedy: the command that makes one.

    Raises FormatError: no ONNX model. MetadataError: not exported by this package, of another method, or by another
    version's rules.
    """
    head = read_head(path)
    if head.producer != PRODUCER or PREFIX + "method" not in head.metadata:
        by = f"exported by {head.producer}" if head.producer not in ("", PRODUCER) else "not exported by fullconv"
        raise MetadataError(
            f"{path}: {by}: its metadata does not say what its inputs and outputs mean; make one with `{remedy}`"
        )
    values = {key[len(PREFIX) :]: _json(path, key, text) for key, text in head.metadata.items() if _is_ours(key)}
    if values.get("form") != FORM:
        raise MetadataError(
            f"{path}: metadata of form {values.get('form')}, this version reads {FORM}: export it again"
        )
    if values["method"] != method:
        raise MetadataError(f"{path}: a model of {values['method']}, not of {method}: use that method's commands")
    if head.opset != OPSET:
        raise MetadataError(f"{path}: opset {head.opset}, this version writes and reads {OPSET}: `{remedy}`")
    return Description(path, head, values)


def _is_ours(key: str) -> bool:
    return key.startswith(PREFIX)


def _json(path: str, key: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"{path}: {key} is no json ({error}): export the model again") from None


def _restored(kind: Type[_Spec], value: Any, where: str) -> _Spec:
    hints = {name: hint for name, hint in get_type_hints(kind).items() if not name.startswith("_")}
    if not isinstance(value, dict) or set(value) != set(hints):
        have = ", ".join(sorted(value)) if isinstance(value, dict) else repr(value)
        raise MetadataError(f"{where} must hold {', '.join(sorted(hints))}; it holds {have}")
    return kind(**{name: _typed(hints[name], item, f"{where}.{name}") for name, item in value.items()})


def _typed(kind: Any, value: Any, where: str) -> Any:
    """`value` as the type that a field is annotated with."""
    if getattr(kind, "__origin__", None) is tuple:
        return tuple(_items(kind.__args__, value, where))
    if hasattr(kind, "_fields") or dataclasses.is_dataclass(kind):
        return _restored(kind, value, where)
    # json has one kind of numbers, and Python's bool is an int.
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    raise MetadataError(f"{where} must be {getattr(kind, '__name__', kind)}, it is {value!r}")


def _items(kinds: Tuple[Any, ...], value: Any, where: str) -> List[Any]:
    same = len(kinds) == 2 and kinds[1] is Ellipsis
    if not isinstance(value, list) or (not same and len(value) != len(kinds)):
        raise MetadataError(f"{where} must be a list{'' if same else f' of {len(kinds)}'}, it is {value!r}")
    each: Union[List[Any], Tuple[Any, ...]] = [kinds[0]] * len(value) if same else kinds
    return [_typed(kind, item, f"{where}[{place}]") for place, (kind, item) in enumerate(zip(each, value))]
