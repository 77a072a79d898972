"""Checkpoints in the original's form, whole or refused: `<prefix>-%04d.params` and `<prefix>-symbol.json`.

A `.params` file holds arrays named `arg:<name>` and `aux:<name>`; the epoch counts from 1. What exact
resuming needs (momentum, schedule position and random state too) is in `<prefix>-%04d.resume`: arrays and
json, nothing that is executed on loading. Symbol files are written for other tools and never read.

Where a run has its record beside them (`lib.core.run_record`), only its own files count, and what is written is noted
in it.
"""

from __future__ import annotations

import json
import logging
import os
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

import mxnet as mx
import numpy as np

from fullconv.lib.core import run_record
from fullconv.lib.core.checked_file import (
    REMEDY,
    as_numpy,
    delete,
    not_finite,
    read_arrays,
    some,
    verify,
    write,
    write_recorded,
)
from fullconv.lib.core.matching import expected_shapes, match_params
from fullconv.lib.core.params_file import CheckpointError
from fullconv.lib.core.run_record import epochs, params_path, resume_path

__all__ = [
    "CheckpointError",
    "State",
    "epochs",
    "expected_shapes",
    "latest",
    "load_params",
    "load_state",
    "match_params",
    "origin",
    "params_path",
    "prune",
    "read_arrays",
    "resume_path",
    "save_params",
    "save_state",
    "started",
    "verify",
]

Arrays = Dict[str, mx.nd.NDArray]
MAX_PROGRESS = 1 << 20

logger = logging.getLogger(__name__)


# ---------------------------------------------------------------------------------------------- parameters


def load_params(prefix: str, epoch: int, process: bool = False) -> Tuple[Arrays, Arrays]:
    """Read the arguments and auxiliary states of one epoch.

    Args:
        process: let each array `X_test` (box regression with the target normalisation folded in) take the
            place of `X`, as the original's demo does.

    Raises:
        CheckpointError: no such file, or it is truncated, altered or not a parameter file.
    """
    args, auxs = load_file(params_path(prefix, epoch))
    if process:
        args.update({key.replace("_test", ""): args.pop(key) for key in list(args) if "_test" in key})
    return args, auxs


def load_file(path: str) -> Tuple[Arrays, Arrays]:
    """Arguments and auxiliary states of a `.params` file. Raises CheckpointError as `load_params`."""
    arrays = read_arrays(path)
    foreign = [key for key in arrays if not key.startswith(("arg:", "aux:"))]
    if foreign:
        raise CheckpointError(f"{path}: no checkpoint: {some(foreign)} are neither arg: nor aux:")
    return _named(arrays, "arg"), _named(arrays, "aux")


def save_params(
    prefix: str, epoch: int, symbol: Optional[mx.sym.Symbol], args: Mapping[str, Any], auxs: Mapping[str, Any]
) -> str:
    """Write parameters (NDArrays or numpy arrays) and the symbol's json; returns the `.params` path.

    Raises:
        CheckpointError: NaN or infinite values, or a full disk; an older file of that name is then intact.
    """
    named = {f"arg:{name}": value for name, value in args.items()}
    named.update({f"aux:{name}": value for name, value in auxs.items()})
    arrays = {name: as_numpy(value) for name, value in named.items()}
    bad = not_finite(arrays)
    path = params_path(prefix, epoch)
    if bad:
        raise CheckpointError(f"{path}: not written: NaN or infinite values in {some(bad)}")
    if symbol is not None:
        write(f"{prefix}-symbol.json", lambda file: file.write(symbol.tojson().encode()), checksum=False)
    write_recorded(prefix, path, arrays)
    return path


# ----------------------------------------------------------------------------------------------- resuming


class State(NamedTuple):
    """What a run continues from."""

    path: str
    epoch: int
    arg_params: Arrays
    aux_params: Arrays
    momentum: Arrays
    progress: Dict[str, Any]

    @property
    def weights_alone(self) -> bool:
        """Whether there are neither momentum nor progress."""
        return self.path.endswith(".params")


def save_state(
    prefix: str,
    epoch: int,
    momentum: Mapping[str, Any],
    progress: Mapping[str, Any],
    params: Optional[Tuple[Mapping[str, Any], Mapping[str, Any]]] = None,
) -> str:
    """Write all that resuming after `epoch` finished epochs needs into one file, so that no kill can split it.

    Only the two newest of these files are kept: they are three times as large as the parameters.

    Args:
        momentum: by parameter name, NDArrays or numpy arrays.
        progress: anything json can hold, numpy numbers and arrays included: updates done, place in the data
            order, the tuple of `RandomState.get_state()`.
        params: (arg_params, aux_params); those of the `.params` file of this epoch when not given.

    Raises:
        CheckpointError: a full disk, or no parameters of this epoch.
    """
    groups = dict(zip(("arg", "aux"), params or load_params(prefix, epoch)), momentum=momentum)
    named = {f"{kind}:{name}": as_numpy(value) for kind, group in groups.items() for name, value in group.items()}
    text = json.dumps({"progress": dict(progress)}, default=_jsonable)
    named["json"] = np.frombuffer(text.encode(), np.uint8)
    path = resume_path(prefix, epoch)
    write_recorded(prefix, path, named)
    delete(prefix, [resume_path(prefix, old) for old in epochs(prefix, "resume")[:-2]])
    return path


def load_state(prefix: str, epoch: Optional[int] = None) -> State:
    """State saved after `epoch`, or the newest one that is whole.

    Of a chosen epoch without a `.resume` file the weights alone are taken, as the original does: the state then has
    neither momentum nor progress.

    Raises:
        CheckpointError: absent or damaged.
    """
    if epoch is None:
        epoch = latest(prefix, resumable=True)
    if epoch is None:
        raise CheckpointError(_nothing_to_resume(prefix))
    return _read_state(prefix, epoch)


def _read_state(prefix: str, epoch: int) -> State:
    path = resume_path(prefix, epoch)
    if not os.path.isfile(path) and os.path.isfile(params_path(prefix, epoch)):
        return State(params_path(prefix, epoch), epoch, *load_params(prefix, epoch), {}, {})
    arrays = read_arrays(path)
    try:
        progress = _progress(arrays.pop("json"))
    except (KeyError, TypeError, ValueError, RecursionError):
        raise CheckpointError(f"{path}: no resume file; {REMEDY}") from None
    args, auxs, momentum = (_named(arrays, kind) for kind in ("arg", "aux", "momentum"))
    return State(path, epoch, args, auxs, momentum, progress)


def _progress(text: mx.nd.NDArray) -> Dict[str, Any]:
    # The state of a random generator takes some 8 kB; json takes up to forty times its size in memory.
    if text.size > MAX_PROGRESS:
        raise ValueError(f"{text.size} bytes of json")
    progress = json.loads(text.asnumpy().tobytes().decode())["progress"]
    if not isinstance(progress, dict):
        raise TypeError("progress is no object")
    return progress


def latest(prefix: str, resumable: bool = False) -> Optional[int]:
    """Newest epoch whose `.params` file (for `resumable`: whose state) is whole, or None.

    Files passed over are named in the log.
    """
    for epoch in reversed(epochs(prefix, "resume" if resumable else "params")):
        try:
            verify(resume_path(prefix, epoch) if resumable else params_path(prefix, epoch))
            return epoch
        except CheckpointError as error:
            logger.warning("checkpoint passed over: %s", error)
    return None


def started(prefix: str) -> bool:
    """Whether a run has written something to resume from, whole or not."""
    return bool(epochs(prefix, "resume") or epochs(prefix))


def origin(prefix: str, epoch: int) -> str:
    """Which training made a checkpoint, for the log of who uses it."""
    record = run_record.read(prefix)
    if record is None:
        return f"epoch {epoch}; {run_record.record_path(prefix)} is absent, so nothing says which run wrote it"
    known = record.owns(params_path(prefix, epoch))
    return f"epoch {epoch} of {record}" if known else f"epoch {epoch}, not of {record}"


def prune(prefix: str, keep: int) -> None:
    """Delete the files of all but the newest `keep` epochs; 0 keeps everything."""
    old = epochs(prefix)[:-keep] if keep else []
    delete(prefix, [path(prefix, epoch) for epoch in old for path in (params_path, resume_path)])


# ------------------------------------------------------------------------------------------------ details


def _nothing_to_resume(prefix: str) -> str:
    """Why there is nothing, and what to do."""
    damaged, weights = epochs(prefix, "resume"), epochs(prefix)
    record = run_record.read(prefix)
    text = f"{prefix}-*.resume: nothing to resume from"
    if damaged:
        text += f": those of epochs {', '.join(map(str, damaged))} are damaged (the log says how)"
    elif record is not None:
        text += f": {record} has none"
    elif run_record.epochs(prefix, every=True):
        text += ": there are weights only"
    if weights:
        return (
            f"{text}; the weights of epochs {', '.join(map(str, weights))} are there: go on from them with momentum "
            "anew by TRAIN.RESUME true TRAIN.begin_epoch N where the method has these keys, or start without --resume"
        )
    return f"{text}; start without --resume"


def _named(arrays: Arrays, kind: str) -> Arrays:
    return {key[len(kind) + 1 :]: value for key, value in arrays.items() if key.startswith(f"{kind}:")}


def _jsonable(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be stored in a resume file")
