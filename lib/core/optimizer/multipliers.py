"""How much faster or slower one array learns and decays than the others: by a symbol's attributes, or by its name."""

from __future__ import annotations

import fnmatch
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence

import mxnet as mx


class Rule(NamedTuple):
    """Arrays whose name matches `pattern` (as file names do, `*bias*`) learn at lr_mult and decay at wd_mult times the
    run's rate. None leaves what the symbol says.
    """

    pattern: str
    lr_mult: Optional[float] = None
    wd_mult: Optional[float] = None


def lr_multipliers(symbol: mx.sym.Symbol, rules: Sequence[Rule] = ()) -> Dict[str, float]:
    """Learning-rate multipliers by parameter name; those that nothing is said about are absent.

    Stated in the symbol (`attr={'lr_mult': ...}`), and over that by the first rule that matches and has one.
    """
    stated = [(rule.pattern, rule.lr_mult) for rule in rules]
    return {**_attributes(symbol, "lr_mult"), **_by_name(symbol.list_arguments(), stated)}


def wd_multipliers(symbol: mx.sym.Symbol, rules: Sequence[Rule] = ()) -> Dict[str, float]:
    """Weight-decay multipliers by parameter name, as `lr_multipliers`."""
    stated = [(rule.pattern, rule.wd_mult) for rule in rules]
    return {**_attributes(symbol, "wd_mult"), **_by_name(symbol.list_arguments(), stated)}


def _by_name(names: Iterable[str], stated: List[tuple]) -> Dict[str, float]:
    found: Dict[str, float] = {}
    for pattern, value in reversed(stated):  # so that the first rule is written last, and stays
        if value is not None:
            found.update(dict.fromkeys(fnmatch.filter(names, pattern), float(value)))
    return found


def _attributes(symbol: mx.sym.Symbol, key: str) -> Dict[str, float]:
    found = {}
    for name, attributes in symbol.attr_dict().items():
        # MXNet writes a variable's own attribute with underscores, one that `attr` gave as it stands.
        value = attributes.get(f"__{key}__", attributes.get(key))
        if value is not None:
            found[name] = float(value)
    return found
