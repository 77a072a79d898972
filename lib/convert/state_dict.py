"""Arrays of the original FCOS and ours: the names, and which array of a file goes where.

Ours are its `state_dict` names with the last dot turned into an underscore: `rpn.head.cls_logits.weight` is
`rpn.head.cls_logits_weight`. Loading matches by suffix as the original does, but then accounts for every array.
"""

from __future__ import annotations

import fnmatch
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.core.matching import match_params
from fullconv.lib.core.params_file import CheckpointError

COUNTERS = ".num_batches_tracked"
"""What PyTorch counts beside a batch norm; nothing is computed from it."""

LONG_PARTS = ("running_mean", "running_var", "moving_mean", "moving_var")
"""Last parts of names that hold an underscore themselves."""

STATES = ("_running_mean", "_running_var", "_moving_mean", "_moving_var")
"""Ends of our names of arrays that are measured, not learned: auxiliary states in a `.params` file."""

CLASSES = {"rpn.head.cls_logits_weight": ("classes", 1), "rpn.head.cls_logits_bias": ("classes", 1)}


def ours(name: str) -> str:
    """Our name of an array of a `state_dict`."""
    return "_".join(name.rsplit(".", 1))


def theirs(name: str) -> str:
    """The `state_dict` name of an array of ours; a name that is one already stays."""
    for part in LONG_PARTS:
        if name.endswith(f"_{part}"):
            return f"{name[: -len(part) - 1]}.{part}"
    start, _, part = name.rpartition("_")
    return name if not start or "." in part or name.endswith(tuple(f".{p}" for p in LONG_PARTS)) else f"{start}.{part}"


def model_of(value: Any, source: str) -> Dict[str, np.ndarray]:
    """The arrays of a network in the object of a `.pth` file: its "model", or the object itself.

    A prefix `module.` that all names have (training on several GPUs leaves it) is dropped, and so are counters.

    Raises:
        ConvertError: not a dict of arrays; says what it is.
    """
    model = value.get("model", value) if type(value) is dict else value
    if type(model) is not dict or not model:
        raise ConvertError(f"{source}: no model: it holds a {type(model).__name__}, not arrays by name")
    wrong = [name for name, array in model.items() if type(name) is not str or not isinstance(array, np.ndarray)]
    if wrong:
        names = ", ".join(repr(name)[:60] for name in wrong[:5])
        raise ConvertError(
            f"{source}: no model: {names} are no arrays; save the model's state_dict() alone or as 'model'"
        )
    # Only if all have it, as the original does: a network may have a part of that name.
    prefix = "module." if all(name.startswith("module.") for name in model) else ""
    return {name[len(prefix) :]: array for name, array in model.items() if not name.endswith(COUNTERS)}


def match_suffixes(wanted: Iterable[str], names: Iterable[str]) -> Dict[str, str]:
    """For every wanted name, the longest of `names` that it ends with; wanted names without any are left out."""
    known = set(names)
    matches = {}
    for name in wanted:
        # From the whole name on, so the first found is the longest.
        ends = (name[start:] for start in range(len(name)))
        found = next((end for end in ends if end in known), None)
        if found is not None:
            matches[name] = found
    return matches


class Fit(NamedTuple):
    """What loading did: the arrays, where each came from, and what neither side had a use for."""

    params: Dict[str, np.ndarray]
    filled: Dict[str, str]
    kept: List[str]
    unused: List[str]

    def report(self) -> str:
        """One line an array."""
        lines = [f"filled {name} <- {source}" for name, source in self.filled.items()]
        lines += [f"kept {name} as it was" for name in self.kept]
        lines += [f"unused {name}" for name in self.unused]
        total = f"{len(self.filled)} filled, {len(self.kept)} kept, {len(self.unused)} unused"
        return "\n".join([*lines, total])


def fit(
    expected: Mapping[str, tuple],
    state: Mapping[str, np.ndarray],
    leave_out: Iterable[str] = (),
    allow_missing: Iterable[str] = (),
    allow_unexpected: Iterable[str] = (),
    source: str = "checkpoint",
    units: Optional[Mapping[str, Tuple[str, int]]] = None,
) -> Fit:
    """Choose from `state` (by `state_dict` name) the arrays of a network (our name -> shape), strictly.

    Args:
        leave_out: patterns (`fnmatch`) of our names that keep their initial values whatever the file has: for
            another number of classes, `("rpn.head.cls_logits_*",)`.
        allow_missing: patterns of our names that keep their initial values if the file has none.
        allow_unexpected: patterns of the file's names that may go unused.
        units: see `match_params`; the classes of FCOS when not given.

    Raises:
        CheckpointError: lists what is missing, what is unused, and what has another shape, with both shapes.
    """
    left_out = {name for name in expected if any(fnmatch.fnmatchcase(name, pattern) for pattern in leave_out)}
    matches = match_suffixes([theirs(name) for name in expected], state)
    sources = {name: matches[theirs(name)] for name in expected if theirs(name) in matches}
    filled = {name: found for name, found in sources.items() if name not in left_out}
    used, meant = set(filled.values()), set(sources.values())
    unused = [name for name in state if name not in used]
    # What is left out on purpose is no surprise: its array in the file goes unused without an error.
    unexplained = {name: state[name] for name in unused if name not in meant}
    arrays = {name: state[found] for name, found in filled.items()}
    shapes = {name: shape for name, shape in expected.items() if name not in left_out}
    try:
        params, _ = match_params(
            shapes,
            {**unexplained, **arrays},
            {},
            False,
            allow_missing,
            tuple(allow_unexpected),
            units or CLASSES,
            source,
        )
    except CheckpointError as error:
        remedy = "arrays named in leave_out keep their initial values: rpn.head.cls_logits_* for other classes"
        raise CheckpointError(f"{error}\n  {remedy}") from None
    return Fit(params, filled, [name for name in expected if name not in filled], unused)
