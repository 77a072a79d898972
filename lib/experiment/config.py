"""Configuration: defaults in code, over them a yaml file, over both the command line.

Only keys that exist in the defaults may be set. How a value is read follows from its default:

=====================  ====================================================================================
default                accepted
=====================  ====================================================================================
`bool`                 true or false
`int`, `float`         a finite number; `5e-4` too, which yaml 1.1 reads as text
`str`                  text; a number or a list of numbers becomes comma separated text (`lr_step: [3, 6]`)
`np.ndarray`           a list of as many numbers
list of tuples         a list of tuples, or one flat tuple (`SCALES: [600, 1000]` is `[(600, 1000)]`)
list or tuple          a list of any length whose items are read like the default's first item; a Python tuple in
                       yaml, which is text there, too: `STEPS: (60000, 80000)`
=====================  ====================================================================================
"""

from __future__ import annotations

import argparse
import copy
import difflib
import math
import os
import reprlib
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Set, Tuple, Union

import numpy as np
import yaml
from easydict import EasyDict

from fullconv.lib.experiment.method_of import wrong_method
from fullconv.lib.experiment.yaml_text import read_yaml
from fullconv.lib.utils import atomic

Overrides = Union[Mapping[str, Any], Iterable[Any]]
Check = Callable[[EasyDict, Set[str]], None]


# PyYAML lets some python errors through: impossible dates, huge integers, deep nesting, unhashable keys.
_YAML_ERRORS = (
    yaml.YAMLError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
)


class ConfigError(ValueError):
    """A configuration key or value that cannot be used; the text names the source, the key and the remedy."""


class _CommandLineText(str):
    """A value as typed: read as yaml unless the key holds text, so that `--set X no` means the word "no"."""


def load(
    defaults: Mapping[str, Any],
    path: Optional[str] = None,
    overrides: Overrides = (),
    check: Optional[Check] = None,
    method: str = "",
) -> EasyDict:
    """Resolve a configuration.

    Args:
        defaults: nested mapping of every known key; it is not changed.
        path: yaml file laid over the defaults, or None.
        overrides: laid over both: a mapping of dotted keys, (key, value) pairs, or words as typed.
        check: called with the result and the set of dotted keys that were given; it may fill in derived
            values and raises `ConfigError` for values that do not fit together.
        method: whose configuration it is, to recognise files of other methods.

    Raises:
        ConfigError: unknown key (names the nearest known one), wrong type, a file that is not yaml, or one of another
            method.
        FileNotFoundError: no file at `path`.
    """
    config = EasyDict(copy.deepcopy(dict(defaults)))
    given: Set[str] = set()
    content = {} if path is None else _read_yaml(path)
    other = wrong_method(content, method)
    if method and other is not None:
        raise ConfigError(f"{path}: {other}")
    _merge(config, content, str(path), given)
    for key, value in _pairs(overrides):
        _merge(config, _nested(key, value), "command line", given)
    if check is not None:
        try:
            check(config, given)
        except ConfigError as error:
            raise ConfigError(f"{path or 'configuration'}: {error}") from None
    return config


def loader(
    defaults: Callable[[], EasyDict], check: Optional[Check] = None, method: str = ""
) -> Callable[..., EasyDict]:
    """The `load(path=None, overrides=())` of a method: its defaults, the yaml at `path`, then `overrides`, checked.

    defaults: makes a fresh copy of every key. check, method: see `load`, whose errors this one's are.
    """

    def load_method(path: Optional[str] = None, overrides: Overrides = ()) -> EasyDict:
        return load(defaults(), path, overrides, check, method)

    return load_method


def parse_overrides(words: Iterable[str]) -> List[Tuple[str, str]]:
    """Turn `["TRAIN.lr", "0.001", "gpus=0,1"]` into `[("TRAIN.lr", "0.001"), ("gpus", "0,1")]`.

    Raises:
        ConfigError: a key without a value.
    """
    pairs: List[Tuple[str, str]] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if "=" in word:
            key, value = word.split("=", 1)
        elif rest:
            key, value = word, rest.pop(0)
        else:
            raise ConfigError(f"command line: {word!r} has no value; write KEY VALUE, for example TRAIN.lr 0.001")
        pairs.append((key.strip(), _CommandLineText(value)))
    return pairs


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--set KEY VALUE ...` and trailing `KEY VALUE` pairs; read them back with `overrides_from`."""
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY VALUE", help="configuration to change"
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="the same, as the last words")


def overrides_from(args: argparse.Namespace) -> List[Tuple[str, str]]:
    """(key, value) pairs from the arguments of `add_config_arguments`; trailing pairs come last and win."""
    return parse_overrides(args.set) + parse_overrides(args.overrides)


def one_of(key: str, value: Any, known: Iterable[Any]) -> None:
    """Raise ConfigError, which lists them, unless `value` is one of the `known` values of the key."""
    known = list(known)
    if value not in known:
        near = difflib.get_close_matches(str(value), map(str, known), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"{key} is {value!r}; it must be one of {', '.join(map(repr, known))}{hint}")


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[Tuple[str, Any]]:
    """(dotted key, value) of every leaf, in the order of the defaults."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> Dict[str, Tuple[Any, Any]]:
    """Dotted key -> (value before, value after) of every leaf that differs; an absent leaf is None."""
    old, new = dict(flatten(before)), dict(flatten(after))
    keys = list(old) + [key for key in new if key not in old]
    pairs = {key: (old.get(key), new.get(key)) for key in keys}
    return {key: pair for key, pair in pairs.items() if plain(pair[0]) != plain(pair[1])}


def save(config: Mapping[str, Any], path: str) -> None:
    """Write the resolved configuration as yaml that `load` reads back to the same values; atomic.

    Raises:
        OSError: the folder cannot be written.
    """
    text = yaml.safe_dump(plain(config), sort_keys=False, default_flow_style=None, width=110)
    atomic.write_text(path, text)


def parse_numbers(text: str) -> List[float]:
    """Numbers of comma separated text such as TRAIN.lr_step: `"3,5.33"` -> `[3.0, 5.33]`, `""` -> `[]`.

    Raises:
        ConfigError: a part is not a finite number.
    """
    return [_number(part.strip(), 0.0) for part in text.split(",") if part.strip()]


def _read_yaml(path: str) -> Dict[str, Any]:
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file; configurations are in experiments/<method>/cfgs/")
    try:
        with open(path, encoding="utf-8") as file:
            content = read_yaml(file.read())
    except _YAML_ERRORS as error:
        raise ConfigError(f"{path}: not a yaml file: {str(error)[:500]}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected KEY: VALUE lines, found {reprlib.repr(content)}")
    return content


def _pairs(overrides: Overrides) -> List[Tuple[str, Any]]:
    if isinstance(overrides, Mapping):
        return list(overrides.items())
    items = list(overrides)
    return parse_overrides(items) if items and all(isinstance(item, str) for item in items) else items


def _nested(key: str, value: Any) -> Dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _merge(root: EasyDict, values: Mapping[str, Any], source: str, given: Set[str], path: Tuple[str, ...] = ()) -> None:
    """Lay `values` over the group of `root` that `path` leads to, in place."""
    group = root
    for part in path:
        group = group[part]
    for key, value in values.items():
        full = ".".join((*path, str(key)))
        if key not in group:
            raise ConfigError(f"{source}: unknown key {full}; {_nearest(root, path, str(key))}")
        default = group[key]
        if isinstance(default, Mapping):
            if not isinstance(value, Mapping):
                got = reprlib.repr(value)
                raise ConfigError(f"{source}: {full} is a group of keys, got {got}; set {full}.KEY")
            _merge(root, value, source, given, (*path, key))
            continue
        try:
            group[key] = _convert(value, default)
        except ConfigError as error:
            raise ConfigError(f"{source}: {full}: {error}") from None
        given.add(full)


def _nearest(root: Mapping[str, Any], path: Tuple[str, ...], key: str) -> str:
    """Words that name the known key closest to `key`, first in the same group, then in any."""
    known = [full for full, _ in flatten(root)] + [name for name in root if isinstance(root[name], Mapping)]
    prefix = ".".join((*path, ""))
    for start in (prefix, ""):
        names = {full.rsplit(".", 1)[-1].lower(): full for full in known if full.startswith(start)}
        match = difflib.get_close_matches(key.lower(), names, n=1, cutoff=0.6)
        if match:
            return f"did you mean {names[match[0]]}?"
    here = dict.fromkeys(name[len(prefix) :].split(".")[0] for name in known if name.startswith(prefix))
    return f"known keys here: {', '.join(here)}"


def _convert(value: Any, default: Any) -> Any:
    """`value` in the type of `default` (see the table at the top).

    Raises:
        ConfigError: it does not fit.
    """
    typed = isinstance(value, _CommandLineText)
    if typed or (_is_tuple_text(value) and isinstance(default, (list, tuple, np.ndarray))):
        value = str(value) if isinstance(default, str) else _from_text(str(value), default)
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ConfigError(f"expected true or false, got {reprlib.repr(value)}")
        return value
    if isinstance(default, (int, float)):
        return _number(value, default)
    if isinstance(default, str):
        return _text(value)
    if isinstance(default, np.ndarray):
        return _array(value, default)
    if isinstance(default, (list, tuple)):
        return _sequence(value, default)
    return value


def _is_tuple_text(value: Any) -> bool:
    """Whether yaml read a Python tuple, which the files of yacs hold, as the text that it is to yaml."""
    return isinstance(value, str) and value.startswith("(") and value.endswith(")")


def _from_text(text: str, default: Any) -> Any:
    """Read a typed value as yaml; `0.5,1,2` stands for a list where one is expected."""
    text = text.replace("(", "[").replace(")", "]")
    if isinstance(default, (list, tuple, np.ndarray)) and "," in text and not text.lstrip().startswith("["):
        text = f"[{text}]"
    try:
        return read_yaml(text)
    except _YAML_ERRORS:
        raise ConfigError(f"cannot read {text!r}") from None


def _number(value: Any, default: Any) -> Any:
    expected = "an integer" if isinstance(default, int) else "a number"
    error = ConfigError(f"expected {expected}, got {reprlib.repr(value)}")
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise error
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise error from None
    if not math.isfinite(number) or (isinstance(default, int) and number != int(number)):
        raise error
    return int(number) if isinstance(default, int) else number


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)) and all(_is_number(item) for item in value):
        return ",".join(str(item) for item in value)
    if isinstance(value, str) or _is_number(value):
        return str(value)
    raise ConfigError(f"expected text, got {reprlib.repr(value)}; quote it if it is meant as text")


def _array(value: Any, default: np.ndarray) -> np.ndarray:
    if not isinstance(value, (list, tuple, np.ndarray)) or len(value) != len(default):
        raise ConfigError(f"expected {len(default)} numbers, got {reprlib.repr(value)}")
    return np.array([_number(item, 0.0) for item in value], dtype=default.dtype)


def _sequence(value: Any, default: Any) -> Any:
    example = default[0] if default else None
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"expected a list like {plain(default)}, got {reprlib.repr(value)}")
    if isinstance(example, tuple):
        pairs = [value] if value and not isinstance(value[0], (list, tuple)) else value
        for pair in pairs:
            if not isinstance(pair, (list, tuple)) or len(pair) != len(example):
                raise ConfigError(f"expected a list like {plain(default)}, got {reprlib.repr(value)}")
        return [tuple(_number(item, like) for item, like in zip(pair, example)) for pair in pairs]
    return type(default)(_convert(item, example) for item in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def plain(value: Any) -> Any:
    """Only dicts, lists, numbers and text, as yaml and json want them; an array becomes a list."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
