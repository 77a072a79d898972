"""Does a checkpoint fit a network? Says everything that does not, at once."""

from __future__ import annotations

import fnmatch
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple, Union

import mxnet as mx

from fullconv.lib.core.params_file import CheckpointError

LISTED = 20
"""At most so many arrays of a kind are named in an error."""


def expected_shapes(symbol: mx.sym.Symbol, **inputs: tuple) -> Dict[str, tuple]:
    """Shapes of all parameters and auxiliary states of `symbol` for inputs (and labels) of the given shapes.

    Arguments whose name contains "label" are no parameters (as in the original's test-time check).
    """
    arg_shapes, _, aux_shapes = symbol.infer_shape(**inputs)
    shapes = dict(zip(symbol.list_arguments(), arg_shapes))
    parameters = {name: shape for name, shape in shapes.items() if name not in inputs and "label" not in name}
    return {**parameters, **dict(zip(symbol.list_auxiliary_states(), aux_shapes))}


def match_params(
    expected: Mapping[str, tuple],
    arg_params: Mapping[str, Any],
    aux_params: Mapping[str, Any],
    partial: bool = False,
    allow_missing: Iterable[str] = (),
    allow_unexpected: Union[bool, Iterable[str]] = (),
    units: Optional[Mapping[str, Tuple[str, int]]] = None,
    source: str = "checkpoint",
) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """The arrays of a checkpoint that the network has, after checking that they are what it needs.

    Args:
        expected: name -> shape of every parameter and auxiliary state of the network.
        partial: take every array that fits and ignore the rest.
        allow_missing: patterns (`fnmatch`) of names that may be absent.
        allow_unexpected: patterns of names that may be there without use, True for any. Folded copies
            (`*_test`) always may.
        units: array name -> (word, channels each): `{"fcis_cls_seg_weight": ("classes", 98)}` lets the error
            say how many classes the file has.

    Returns:
        arg_params and aux_params without the arrays the network has no use for.

    Raises:
        CheckpointError: lists all missing, unexpected and wrong-shaped arrays with their shapes.
    """
    params = {**arg_params, **aux_params}
    # FCIS's checkpoints all have folded copies, which the network itself never reads.
    unused_ok = ("*",) if allow_unexpected is True else ("*_test", *(allow_unexpected or ()))
    wrong = [n for n in expected if n in params and tuple(params[n].shape) != tuple(expected[n])]
    missing = [n for n in expected if n not in params and not _matches(n, allow_missing)]
    unexpected = [n for n in params if n not in expected and not _matches(n, unused_ok)]
    if not partial and (wrong or missing or unexpected):
        raise CheckpointError(_misfit(expected, params, missing, unexpected, wrong, units or {}, source))
    fits = set(expected).difference(wrong)
    args = {name: value for name, value in arg_params.items() if name in fits}
    return args, {name: value for name, value in aux_params.items() if name in fits}


def _misfit(expected, params, missing, unexpected, wrong, units, source) -> str:
    pairs = [(name, tuple(params[name].shape), tuple(expected[name])) for name in wrong]
    lines = [f"{source} does not fit the network:"]
    lines += _listed("missing", [f"{name} {tuple(expected[name])}" for name in missing])
    lines += _listed("unexpected", [f"{name} {tuple(params[name].shape)}" for name in unexpected])
    lines += _listed("wrong shape", [f"{name}: file {have}, network {want}" for name, have, want in pairs])
    return "\n".join(lines + _hints(pairs, units))


def _hints(pairs: List[Tuple[str, tuple, tuple]], units: Mapping[str, Tuple[str, int]]) -> List[str]:
    hints = []
    for name, have, want in pairs:
        word, each = units.get(name, ("", 0))
        if each and have[0] % each == 0 and want[0] % each == 0 and have[0] != want[0]:
            # Whole numbers of units only: other shapes differ for other reasons.
            counts = f"  checkpoint has {have[0] // each} {word}, config has {want[0] // each}"
            hints.append(f"{counts}: take the data or config it was trained with, or train anew")
    # Weight and bias of a layer say the same.
    return list(dict.fromkeys(hints))


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _listed(kind: str, items: List[str]) -> List[str]:
    more = [f"    and {len(items) - LISTED} more"] if len(items) > LISTED else []
    return [f"  {kind} ({len(items)}):", *(f"    {item}" for item in items[:LISTED]), *more] if items else []
