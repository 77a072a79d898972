"""A run takes possession of its output folder: what an earlier run left there never counts as its own."""

from __future__ import annotations

import contextlib
import fnmatch
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence

from fullconv.lib.core import run_record
from fullconv.lib.core.checked_file import digest_of
from fullconv.lib.core.params_file import CheckpointError
from fullconv.lib.core.run_record import RunRecord, epochs
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.settings import ASIDE, KEEP, REFUSE, Settings
from fullconv.lib.utils import lock

Log = Callable[[str], None]
SHOWN = 20
"""Changed settings named at most."""


@contextlib.contextmanager
def claimed(prefixes: Sequence[Path]) -> Iterator[None]:
    """Keep other runs from writing files of these prefixes, and remove what killed ones left half-written.

    Raises LockedError: another run is writing there.
    """
    with contextlib.ExitStack() as stack:
        for prefix in prefixes:
            prefix.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(lock.held(f"{prefix}.lock"))
            for path in run_record.leftovers(str(prefix)):
                path.unlink(missing_ok=True)
        yield


def determining(config: Mapping[str, Any], settings: Settings) -> Dict[str, Any]:
    """The settings that the numbers of a run follow from: all but those the method calls immaterial."""
    leaves = base.flatten(base.plain(config))
    return {key: value for key, value in leaves if not any(fnmatch.fnmatch(key, p) for p in settings.immaterial)}


def begin(prefixes: Sequence[Path], settings: Settings, log: Log, record: RunRecord) -> None:
    """A run from its start weights. prefixes: all it will write; the record belongs to the first.

    Files of earlier runs are treated as `settings.used` says. Raises CheckpointError: it says to refuse.
    """
    used = [prefix for prefix in prefixes if _worth_keeping(prefix)]
    if used:
        _treat(used, settings.used, log)
    # What is left there under the names of later stages must not pass for theirs.
    for prefix in [prefixes[0], *(used if settings.used == KEEP else [])]:
        run_record.write(str(prefix), record)
    log(f"{record} begins")


def go_on(prefix: Path, epoch: int, chosen: bool, settings: Settings, log: Log, now: RunRecord) -> None:
    """A run from its state after `epoch`. now: the record it would have if it began today.

    chosen: by number, not as the newest. What the run wrote after another epoch than the newest, or under settings
    that are changed now, is another run's from here on.

    Raises CheckpointError: settings changed, and `settings.changed` does not allow it.
    """
    name = str(prefix)
    record = run_record.read(name)
    if record is None:
        adopted = _files_until(prefix, epoch)
        run_record.write(name, replace(now, files=adopted))
        log(f"{run_record.record_path(name)} is absent: {len(adopted)} files there are taken for this run's, {now}")
        return
    changes = refuse_changes(record, now.settings, name, settings, log)
    later = [file for file in run_record.all_files(name) if _epoch_of(file) > epoch and record.owns(_subject(file))]
    if later and (changes or chosen):
        _move(later, prefix.parent / f"run-{_day(record)}-{record.id}-after-{epoch:04d}", log)
        record = replace(
            record, files={n: d for n, d in record.files.items() if _epoch_of(prefix.with_name(n)) <= epoch}
        )
    known = {**record.settings, **now.settings}
    run_record.write(name, replace(record, settings=known, logs=[*record.logs, *now.logs]))
    log(f"{record} goes on")


def refuse_changes(
    record: RunRecord, wanted: Mapping[str, Any], prefix: str, settings: Settings, log: Log
) -> List[str]:
    """Which settings are others than the run's, as text.

    Raises CheckpointError: there are some, and `settings.changed` does not allow it.
    """
    # Keys that another version of this software did not have cannot be compared.
    both = [key for key in wanted if key in record.settings]
    different = [key for key in both if record.settings[key] != wanted[key]]
    changes = [f"{key} was {record.settings[key]!r}, is {wanted[key]!r}" for key in different]
    more = [f"and {len(changes) - SHOWN} more"] if len(changes) > SHOWN else []
    text = "; ".join(changes[:SHOWN] + more)
    if changes and not settings.changed:
        raise CheckpointError(
            f"{run_record.record_path(prefix)}: {record} was made with other settings: {text}. Set them as they were, "
            "start without --resume, or go on with the new ones by --changed"
        )
    if changes:
        log(f"WARNING {record} goes on with other settings: {text}")
    return changes


# ----------------------------------------------------------------------------------------------- earlier runs


def _worth_keeping(prefix: Path) -> bool:
    """Whether an earlier run left more than a description of itself."""
    return any(file.suffix in (".params", ".resume", ".npz") for file in run_record.all_files(str(prefix)))


def _treat(prefixes: Sequence[Path], used: str, log: Log) -> None:
    folder = prefixes[0].parent
    record = run_record.read(str(prefixes[0]))
    what = f"{folder} holds {', '.join(map(_described, prefixes))}"
    if used == REFUSE:
        raise CheckpointError(f"{what}: go on with --resume, set output_path, or let it be moved with --used {ASIDE}")
    if used == KEEP:
        log(f"WARNING {what}: left there, not counted, and overwritten where numbers are the same")
        return
    files = [file for prefix in prefixes for file in run_record.all_files(str(prefix))]
    newest = max(file.stat().st_mtime for file in files)
    day = _day(record) if record is not None else time.strftime("%Y-%m-%d", time.localtime(newest))
    logs = dict.fromkeys(folder / name for prefix in prefixes for name in _logs(prefix))  # stages may share one
    log(f"WARNING {what}: moved aside, because this run starts anew")
    name = f"run-{day}-{record.id if record is not None else 'unnamed'}"
    _move([*(file for file in logs if file.is_file()), *files], folder / name, log)


def _described(prefix: Path) -> str:
    record, there = run_record.read(str(prefix)), epochs(str(prefix), every=True)
    numbers = f"epochs {there[0]} to {there[-1]}" if there else "files"
    whose = str(record) if record is not None else "a run without a record"
    return f"{numbers} of {prefix.name}, {whose}"


def _move(files: Sequence[Path], target: Path, log: Log) -> None:
    free, number = target, 1
    while free.exists() and any((free / file.name).exists() for file in files):
        number += 1
        free = target.with_name(f"{target.name}-{number}")
    free.mkdir(exist_ok=True)
    for file in files:
        file.rename(free / file.name)
    log(f"{len(files)} files of the earlier run are now in {free}")


def _logs(prefix: Path) -> List[str]:
    record = run_record.read(str(prefix))
    return record.logs if record is not None else []


def _day(record: RunRecord) -> str:
    return record.started.split(" ")[0]


def _subject(file: Path) -> str:
    """The checkpoint file that a file, its checksum perhaps, belongs to."""
    return str(file.with_suffix("") if file.suffix == ".sha256" else file)


def _epoch_of(file: Path) -> int:
    """Its number; -1 for a file without."""
    number = Path(_subject(file)).stem.rpartition("-")[2]
    return int(number) if number.isdigit() else -1


def _files_until(prefix: Path, epoch: int) -> Dict[str, str]:
    """Checkpoint files up to an epoch, with their checksums."""
    files = run_record.all_files(str(prefix))
    mine = [file for file in files if file.suffix in (".params", ".resume") and _epoch_of(file) <= epoch]
    return {file.name: digest_of(str(file)) for file in mine}
