"""Which run wrote the files beside a prefix: `<prefix>-run.json`, and what it counts as its own.

A folder can hold files of several runs under the same numbers, and the highest number need not be of the run that
wrote last. So a run gets an id when it starts; its record lists every checkpoint with its sha256, and the checksum file
beside a checkpoint names the run too, for the moment between the two. What neither names is another run's. Folders
without a record, written before there were any, or filled by hand, count whatever lies there.
"""

from __future__ import annotations

import glob
import json
import os
import re
import secrets
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Dict, List, Optional

from fullconv.lib.core.params_file import CheckpointError
from fullconv.lib.utils import atomic

KINDS = ("params", "resume")
OTHERS = r"run\.json|config\.yaml|classes\w*\.txt|symbol\.json|curves\.png|diverged\.npz"


@dataclass(frozen=True)
class RunRecord:
    """One run. settings: those that its numbers follow from, as json has them. start_weights: sha256 of the arrays it
    began with. files: name of every checkpoint file it wrote -> sha256. logs: names of its log files.
    """

    id: str
    started: str
    method: str
    settings: Dict[str, Any]
    start_weights: str = ""
    files: Dict[str, str] = field(default_factory=dict)
    logs: List[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"run {self.id} ({self.method}, started {self.started})"

    @property
    def note(self) -> str:
        """What stands in the checksum file of its checkpoints."""
        return f"run {self.id}"

    def owns(self, path: str) -> bool:
        """Whether this run wrote the checkpoint file at `path`."""
        return os.path.basename(path) in self.files or atomic.note_of(path) == self.note


def new(method: str, settings: Dict[str, Any], start_weights: str, logs: List[str]) -> RunRecord:
    """The record of a run that starts now."""
    return RunRecord(
        secrets.token_hex(4), time.strftime("%Y-%m-%d %H:%M:%S"), method, settings, start_weights, {}, logs
    )


def record_path(prefix: str) -> str:
    """File of the record."""
    return f"{prefix}-run.json"


def read(prefix: str) -> Optional[RunRecord]:
    """The record beside a prefix; None where there is none.

    Raises CheckpointError: it is damaged. Without it nobody can tell whose the files are.
    """
    path = record_path(prefix)
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        return RunRecord(**{part.name: _checked(content[part.name], part.name) for part in fields(RunRecord)})
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: damaged ({type(error).__name__}: {error}): delete it to let every checkpoint there count"
        ) from None


def write(prefix: str, record: RunRecord) -> None:
    """Replace the record, whole or not at all."""
    atomic.write_text(record_path(prefix), json.dumps(asdict(record), indent=1) + "\n")


def _checked(value: Any, name: str) -> Any:
    expected = {"settings": dict, "files": dict, "logs": list}.get(name, str)
    if not isinstance(value, expected):
        raise TypeError(f"{name} is {value!r}")
    return value


# --------------------------------------------------------------------------------------------- files of a prefix


def params_path(prefix: str, epoch: int) -> str:
    """File of the parameters after `epoch` epochs."""
    return f"{prefix}-{epoch:04d}.params"


def resume_path(prefix: str, epoch: int) -> str:
    """File of the state that goes with `params_path`."""
    return f"{prefix}-{epoch:04d}.resume"


def prefix_of(path: str) -> Optional[str]:
    """The prefix of a checkpoint file; None for another file."""
    match = re.fullmatch(r"(.+)-\d{4,}\.(params|resume)", str(path), re.S)
    return match.group(1) if match else None


def epochs(prefix: str, kind: str = "params", every: bool = False) -> List[int]:
    """Epochs of this prefix's run that have a `.params` (or `.resume`) file, whole or not, ascending.

    every: those of other runs too.
    """
    record = None if every else read(prefix)
    pattern = re.compile(rf"-(\d{{4,}})\.{kind}")
    matches = (pattern.fullmatch(path[len(str(prefix)) :]) for path in glob.glob(f"{glob.escape(str(prefix))}-*"))
    found = sorted(int(match.group(1)) for match in matches if match)
    path_of = params_path if kind == "params" else resume_path
    return [epoch for epoch in found if record is None or record.owns(path_of(prefix, epoch))]


def all_files(prefix: str) -> List[Path]:
    """Everything that trainings with this prefix write, of whichever run; logs, which do not bear it, are left out.

    The record comes last: who moves or deletes them in this order and is killed has not lost it.
    """
    name = os.path.basename(prefix)
    return sorted(_beside(prefix, ""), key=lambda path: (path.name == f"{name}-run.json", path.name))


def leftovers(prefix: str) -> List[Path]:
    """Half-written files that killed runs left behind."""
    return _beside(prefix, r"\.\d+-[0-9a-f]+\.tmp")


def _beside(prefix: str, ending: str) -> List[Path]:
    # Not a glob with the prefix: voc-fcn8s-* are files of voc-fcn8s-atonce too.
    folder, name = os.path.split(str(prefix))
    known = re.compile(rf"{re.escape(name)}-(\d{{4,}}\.({'|'.join(KINDS)})(\.sha256)?|{OTHERS}){ending}")
    return [path for path in Path(folder or ".").glob("*") if known.fullmatch(path.name)]
