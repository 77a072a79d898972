"""Checkpoints in the original's form, whole or refused: `<prefix>-%04d.params` and `<prefix>-symbol.json`.

A `.params` file holds arrays named `arg:<name>` and `aux:<name>`; the epoch counts from 1. What exact
resuming needs (momentum, schedule position and random state too) is in `<prefix>-%04d.resume`: arrays and
json, nothing that is executed on loading. Symbol files are written for other tools and never read.
"""

from __future__ import annotations

import glob
import json
import logging
import os
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import mxnet as mx
import numpy as np

from fullconv.lib.core import params_file
from fullconv.lib.core.matching import expected_shapes, match_params
from fullconv.lib.core.params_file import CheckpointError
from fullconv.lib.utils import atomic

__all__ = [
    "CheckpointError",
    "State",
    "epochs",
    "expected_shapes",
    "latest",
    "load_params",
    "load_state",
    "match_params",
    "params_path",
    "prune",
    "read_arrays",
    "resume_path",
    "save_params",
    "save_state",
    "verify",
]

Arrays = Dict[str, mx.nd.NDArray]
LISTED = 20


def params_path(prefix: str, epoch: int) -> str:
    """File of the parameters after `epoch` epochs."""
    return f"{prefix}-{epoch:04d}.params"


def resume_path(prefix: str, epoch: int) -> str:
    """File of the state that goes with `params_path`."""
    return f"{prefix}-{epoch:04d}.resume"


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
        raise CheckpointError(f"{path}: no checkpoint: {_some(foreign)} are neither arg: nor aux:")
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
    arrays = {name: _numpy(value) for name, value in named.items()}
    bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    path = params_path(prefix, epoch)
    if bad:
        raise CheckpointError(f"{path}: not written: NaN or infinite values in {_some(bad)}")
    if symbol is not None:
        _write(f"{prefix}-symbol.json", lambda file: file.write(symbol.tojson().encode()), checksum=False)
    _write(path, lambda file: params_file.write(file, arrays))
    return path


def read_arrays(path: str) -> Arrays:
    """Arrays of any `.params` file by name, after its structure and any checksum are verified.

    Raises:
        CheckpointError: absent, truncated, altered or foreign.
    """
    verify(path)
    try:
        arrays = mx.nd.load(path)
    except mx.base.MXNetError as error:
        raise CheckpointError(f"{path}: MXNet cannot read it: {str(error).splitlines()[-1]}; {_REMEDY}") from None
    return arrays


def verify(path: str) -> None:
    """Raises `CheckpointError` unless the file at `path` is whole."""
    if not os.path.isfile(path):
        raise CheckpointError(f"{path}: no such file{_epochs_beside(path)}")
    try:
        known = atomic.digests(path)
        params_file.scan(path)
        if known and atomic.sha256(path) not in known:
            raise ValueError("its content changed since it was written (sha256 differs)")
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path}: {error}; {_REMEDY}") from None


_REMEDY = "use another epoch or fetch the file again"


# ----------------------------------------------------------------------------------------------- resuming


class State(NamedTuple):
    """What a run continues from."""

    path: str
    epoch: int
    arg_params: Arrays
    aux_params: Arrays
    momentum: Arrays
    progress: Dict[str, Any]


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
    named = {f"{kind}:{name}": _numpy(value) for kind, group in groups.items() for name, value in group.items()}
    text = json.dumps({"progress": dict(progress)}, default=_jsonable)
    named["json"] = np.frombuffer(text.encode(), np.uint8)
    path = resume_path(prefix, epoch)
    _write(path, lambda file: params_file.write(file, named))
    for old in epochs(prefix, "resume")[:-2]:
        _delete(resume_path(prefix, old))
    return path


def load_state(prefix: str, epoch: Optional[int] = None) -> State:
    """State saved after `epoch`, or the newest one that is whole.

    Raises:
        CheckpointError: absent or damaged.
    """
    if epoch is None:
        epoch = latest(prefix, resumable=True)
    if epoch is None:
        raise CheckpointError(f"{prefix}-*.resume: nothing to resume from; start without --resume")
    path = resume_path(prefix, epoch)
    if not os.path.isfile(path) and os.path.isfile(params_path(prefix, epoch)):
        raise CheckpointError(
            f"{path}: no such file, so only the weights of epoch {epoch} are there; start from them with "
            f"network.pretrained {prefix} network.pretrained_epoch {epoch} TRAIN.begin_epoch {epoch}"
        )
    return _read_state(prefix, epoch)


def _read_state(prefix: str, epoch: int) -> State:
    path = resume_path(prefix, epoch)
    arrays = read_arrays(path)
    try:
        progress = json.loads(arrays.pop("json").asnumpy().tobytes().decode())["progress"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise CheckpointError(f"{path}: no resume file; {_REMEDY}") from None
    args, auxs, momentum = (_named(arrays, kind) for kind in ("arg", "aux", "momentum"))
    return State(path, epoch, args, auxs, momentum, progress)


def latest(prefix: str, resumable: bool = False) -> Optional[int]:
    """Newest epoch whose `.params` file (for `resumable`: whose state) is whole, or None.

    Files passed over are named in the log.
    """
    for epoch in reversed(epochs(prefix, "resume" if resumable else "params")):
        try:
            verify(resume_path(prefix, epoch) if resumable else params_path(prefix, epoch))
            return epoch
        except CheckpointError as error:
            logging.getLogger(__name__).warning("checkpoint passed over: %s", error)
    return None


def epochs(prefix: str, kind: str = "params") -> List[int]:
    """Epochs that have a `.params` (or `.resume`) file, whole or not, ascending."""
    found = (re.search(rf"-(\d{{4,}})\.{kind}$", path) for path in glob.glob(f"{glob.escape(str(prefix))}-*"))
    return sorted(int(match.group(1)) for match in found if match)


def prune(prefix: str, keep: int) -> None:
    """Delete the files of all but the newest `keep` epochs; 0 keeps everything."""
    for epoch in epochs(prefix)[:-keep] if keep else ():
        _delete(params_path(prefix, epoch))
        _delete(resume_path(prefix, epoch))


# ------------------------------------------------------------------------------------------------ details


def _write(path: str, fill, checksum: bool = True) -> None:
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        atomic.write(path, fill, checksum)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        kept = "the file from before is intact" if os.path.exists(path) else "nothing was left behind"
        text = f"{path}: cannot be written: {reason}; {kept}; free some space or set output_path"
        raise CheckpointError(text) from None


def _delete(path: str) -> None:
    for name in (path, f"{path}.sha256"):
        if os.path.exists(name):
            os.unlink(name)


def _named(arrays: Arrays, kind: str) -> Arrays:
    return {key[len(kind) + 1 :]: value for key, value in arrays.items() if key.startswith(f"{kind}:")}


def _numpy(value: Any) -> np.ndarray:
    return value.asnumpy() if isinstance(value, mx.nd.NDArray) else np.asarray(value)


def _jsonable(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be stored in a resume file")


def _some(names: List[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _epochs_beside(path: str) -> str:
    """`; epochs there: 1, 2` for a checkpoint that has other epochs."""
    found = epochs(re.sub(r"-\d{4,}\.\w+$", "", path))
    return f"; epochs there: {', '.join(map(str, found))}" if found else ""
