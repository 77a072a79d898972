"""Runs a reader on many damaged files in a child process, and measures what each costs.

A reader that dies or hangs takes only the child with it; another child goes on behind the file that did it.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import struct
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np

from tests.fuzz.mutator import mutate
from tests.fuzz.readers import Reader

SPARE_MEMORY, SECONDS = 64 << 20, 5
HANGS, WAITS = 60, 600
"""Seconds, of the processor and of the clock, after which a reader will not come back."""
GROWN = 16 << 20
"""Memory that a child may keep between files. With more it ends, so that no file is served by what others left."""


@dataclass
class Report:
    """What came out. seconds: of the processor, the worst; memory: bytes beyond four times the file, the worst."""

    reader: str
    files: int = 0
    refused: int = 0
    seconds: float = 0.0
    memory: int = 0
    faults: List[str] = field(default_factory=list)

    def __str__(self) -> str:
        share = 100 * self.refused / max(1, self.files)
        text = (
            f"{self.reader:14} {self.files:7} files, {share:3.0f} % refused, {len(self.faults)} faults, worst "
            f"{self.seconds:.2f} s, worst memory 4 x the file + {self.memory / 2**20:.0f} MB"
        )
        return "\n  ".join([text, *self.faults])


def run(reader: Reader, folder: Path, count: int, seconds: float = 1e9, keep: Optional[Path] = None) -> Report:
    """Read `count` damaged files, or as many as take `seconds` of processor. keep: folder for those with a fault."""
    report = Report(reader.name)
    seeds = reader.seeds()
    contents = [seed.content for seed in seeds]
    for seed in seeds[: 1 if count < len(seeds) else None]:
        # In the parent too, so that no child pays for what is imported and made at a first call.
        path = folder / f"{reader.name}{seed.ending}"
        path.write_bytes(seed.wrap(seed.content))
        with contextlib.suppress(*reader.errors):
            reader.read(path)
    began = _processor_time()
    while report.files < count and _processor_time() < began + seconds:
        _child(reader, seeds, contents, folder, report, count, began + seconds - _processor_time(), keep)
    return report


def _processor_time() -> float:
    """Of this process and of its children that have ended."""
    return sum(os.times()[:4])


def _child(reader, seeds, contents, folder, report, count, seconds, keep) -> None:
    """Fork, read until there is a reason to stop, and add what was found to the report."""
    reading, writing = os.pipe()
    at = mmap.mmap(-1, 8)
    child = os.fork()
    if child == 0:
        os.close(reading)
        for number in (signal.SIGALRM, signal.SIGPROF):
            signal.signal(number, signal.SIG_DFL)
        with os.fdopen(writing, "w") as pipe:
            _read_files(reader, seeds, contents, folder, report.files, count, seconds, at, pipe, keep)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        lines = pipe.read().splitlines()
    _, status = os.waitpid(child, 0)
    for line in lines:
        found = json.loads(line)
        report.faults += found["faults"]
        report.refused += bool(found["error"])
        report.seconds, report.memory = max(report.seconds, found["seconds"]), max(report.memory, found["memory"])
    report.files = struct.unpack("q", at[:8])[0]
    if status:
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        died = "hangs" if number in (signal.SIGALRM, signal.SIGPROF) else f"ends the process ({status})"
        report.faults.append(_fault(reader, seeds, contents, report.files - 1, died, keep))


def _read_files(reader, seeds, contents, folder, first, count, seconds, at, pipe, keep) -> None:
    start, end = _kilobytes("VmRSS") * 1024, time.process_time() + seconds
    for index in range(first, count):
        at[:8] = struct.pack("q", index + 1)
        seed, content = damaged(reader, seeds, contents, index)
        path = folder / f"{reader.name}{seed.ending}"
        path.write_bytes(content)
        signal.setitimer(signal.ITIMER_PROF, HANGS)
        signal.alarm(WAITS)
        found = _cost(reader, path, start)
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        found["memory"] -= 4 * len(content)
        if found["seconds"] > SECONDS or found["memory"] > SPARE_MEMORY:
            found["faults"].append(f"{found['seconds']:.1f} s, {found['memory'] >> 20} MB beyond four times the file")
        found["faults"] = [_fault(reader, seeds, contents, index, what, keep) for what in found["faults"]]
        pipe.write(json.dumps(found) + "\n")
        pipe.flush()
        if time.process_time() > end or _kilobytes("VmRSS") * 1024 > start + GROWN:
            return


def damaged(reader, seeds, contents, index):
    """File `index` of a reader: which seed, and the content."""
    rng = np.random.RandomState(zlib.crc32(f"{reader.name} {index}".encode()))
    seed = seeds[rng.randint(len(seeds))]
    return seed, seed.wrap(mutate(rng, seed.content, contents))


def _cost(reader: Reader, path: Path, start: int) -> dict:
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")  # the highest mark of memory starts anew
    began, faults, refused = time.process_time(), [], ""
    try:
        reader.read(path)
    except reader.errors as error:
        refused = str(error) or "?"
        if reader.names_the_file and path.name not in str(error):
            faults.append(f"the message names no file: {str(error)[:200]}")
        if len(str(error)) > 5000:
            faults.append(f"a message of {len(str(error))} letters")
    except BaseException as error:
        faults.append(f"{type(error).__name__}: {str(error)[:200]}")
    seconds = time.process_time() - began
    memory = _kilobytes("VmHWM") * 1024 - start
    return {"seconds": seconds, "memory": memory, "faults": faults, "error": refused}


def cost(read, path: Path) -> Tuple[str, float, int]:
    """What reading one file costs in a child of its own: the error's text, "" for none, seconds, and bytes."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        start = _kilobytes("VmRSS") * 1024
        found = _cost(Reader("", read, list, (Exception,), False), path, start)
        os.write(writing, json.dumps(found).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    status = os.waitpid(child, 0)[1]
    assert status == 0, f"{path}: ends the process ({status})"
    found = json.loads(text)
    return found["error"], found["seconds"], found["memory"]


def _fault(reader, seeds, contents, index, what, keep) -> str:
    if keep is not None:
        seed, content = damaged(reader, seeds, contents, index)
        (keep / f"{reader.name}-{index}{seed.ending}").write_bytes(content)
    return f"file {index}: {what}"


def _kilobytes(key: str) -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key))
