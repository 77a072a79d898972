"""Files of arrays that can be trusted: whole, unchanged since they were written, and of the run they stand with.

Their checksums stand beside them and, for the checkpoints of a run, in its record (`lib.core.run_record`).
"""

from __future__ import annotations

import errno
import logging
import os
from dataclasses import replace
from typing import Any, Callable, Dict, List, Mapping, Sequence

import mxnet as mx
import numpy as np

from fullconv.lib.core import params_file, run_record
from fullconv.lib.core.params_file import CheckpointError
from fullconv.lib.core.run_record import epochs
from fullconv.lib.utils import atomic

Arrays = Dict[str, mx.nd.NDArray]
LISTED = 20
"""Arrays that an error names at most."""

REMEDY = "use another epoch or fetch the file again"

logger = logging.getLogger(__name__)


def read_arrays(path: str) -> Arrays:
    """Arrays of any `.params` file by name, after its structure and any checksum are verified.

    Raises:
        CheckpointError: absent, truncated, altered or foreign, or with NaN or infinite values.
    """
    verify(path)
    if not _known_digests(path):
        logger.info("%s: there is no checksum of it: damage inside of its numbers would go unnoticed", path)
    try:
        arrays = mx.nd.load(path)
    except mx.base.MXNetError as error:
        raise CheckpointError(f"{path}: MXNet cannot read it: {str(error).splitlines()[-1]}; {REMEDY}") from None
    if isinstance(arrays, dict):
        refuse_unless_finite(path, arrays)
    return arrays


def not_finite(arrays: Mapping[str, Any]) -> List[str]:
    """Names of the arrays, NDArrays or numpy's, that hold NaN or infinite values."""
    return [name for name, array in arrays.items() if not np.isfinite(as_numpy(array)).all()]


def refuse_unless_finite(source: str, arrays: Mapping[str, Any]) -> None:
    """Raise CheckpointError where arrays hold NaN or infinite values. source: file they come from."""
    bad = not_finite(arrays)
    if bad:
        raise CheckpointError(
            f"{source}: NaN or infinite values in {some(bad)}: the training that made them diverged, or they are "
            "damaged; use another epoch"
        )


def as_numpy(value: Any) -> np.ndarray:
    """An NDArray's or anything's values."""
    return value.asnumpy() if isinstance(value, mx.nd.NDArray) else np.asarray(value)


def some(names: Sequence[str]) -> str:
    """The first names of a long list."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def verify(path: str) -> None:
    """Raises `CheckpointError` unless the file at `path` is whole, and of the run whose record stands beside it."""
    if not os.path.isfile(path):
        raise CheckpointError(f"{path}: no such file{_epochs_beside(path)}")
    _refuse_other_run(path)
    try:
        known = _known_digests(path)
        params_file.scan(path)
        if known and atomic.sha256(path) not in known:
            raise ValueError("its content changed since it was written (sha256 differs)")
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path}: {error}; {REMEDY}") from None


def digest_of(path: str) -> str:
    """sha256 that a file should have: the one noted when it was written, else that of its content."""
    try:
        noted = atomic.digests(path)
    except ValueError:
        noted = []
    return noted[-1] if noted else atomic.sha256(path)


def _refuse_other_run(path: str) -> None:
    prefix, note = run_record.prefix_of(path), atomic.note_of(path)
    record = run_record.read(prefix) if prefix else None
    if record is not None and note and not record.owns(path):
        raise CheckpointError(
            f"{path}: of {note}, but {run_record.record_path(str(prefix))} is of {record}{_epochs_beside(path)}. To "
            "use it nevertheless, copy it to another folder"
        )


def _known_digests(path: str) -> List[str]:
    """Checksums that the content may have, of the file beside it and of the run's record: a lost or emptied file of
    checksums hides nothing. Raises ValueError: that file is damaged, and there is no record to go by.
    """
    prefix = run_record.prefix_of(path)
    record = run_record.read(prefix) if prefix else None
    recorded = record.files.get(os.path.basename(path)) if record is not None else None
    try:
        known = atomic.digests(path)
    except ValueError as error:
        if recorded is None:
            raise
        logger.warning("%s; the run's record has the checksum too", error)
        known = []
    return known if recorded is None else [*known, recorded]


def write_recorded(prefix: str, path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a checkpoint file and note it in the record of the prefix's run, where there is one.

    Raises CheckpointError as `write`.
    """
    record = run_record.read(prefix)
    note = record.note if record is not None else ""
    digest = write(path, lambda file: params_file.write(file, arrays), note=note)
    if record is not None:
        run_record.write(prefix, replace(record, files={**record.files, os.path.basename(path): digest}))


def write(path: str, fill: Callable[[atomic.Writable], Any], checksum: bool = True, note: str = "") -> str:
    """`atomic.write`, in a folder that is made if need be.

    Raises CheckpointError: it cannot be written; an older file of that name is then intact.
    """
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        return atomic.write(path, fill, checksum, note)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        kept = "the file from before is intact" if os.path.exists(path) else "nothing was left behind"
        text = f"{path}: cannot be written: {reason}; {kept}; {_remedy(error)}"
        raise CheckpointError(text) from None


def _remedy(error: Exception) -> str:
    """What helps against a file that could not be written."""
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        return "it or its folder was removed while it was written: see what else works in that folder"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "check the folder's permissions or set output_path"
    return "free some space or set output_path"


def delete(prefix: str, paths: Sequence[str]) -> None:
    """Delete files with their checksums, and forget them in the run's record."""
    for path in paths:
        for name in (path, f"{path}.sha256"):
            if os.path.exists(name):
                os.unlink(name)
    record = run_record.read(prefix)
    if record is not None:
        gone = {os.path.basename(path) for path in paths}
        left = {name: digest for name, digest in record.files.items() if name not in gone}
        run_record.write(prefix, replace(record, files=left))


def _epochs_beside(path: str) -> str:
    """`; epochs there: 1, 2` for a checkpoint that has other epochs."""
    prefix = run_record.prefix_of(path)
    found = epochs(prefix) if prefix else []
    return f"; epochs there: {', '.join(map(str, found))}" if found else ""
