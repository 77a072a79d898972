"""Several processes: their sums, what becomes of all when one of them fails, and what they open to the network."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from fullconv.lib.core.distributed import ALONE, join

ROOT = Path(__file__).resolve().parents[3]

PRELUDE = """
import hashlib, os, sys, time
import numpy as np
from fullconv.lib.core.distributed import BUCKET, Buckets, join, share_arrays
world = join("mpi")
"""


def installed(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


needs_mpi = pytest.mark.skipif(
    not (installed("mpi4py") and installed("mpich")), reason="pip install mpi4py mpich to run several processes"
)


def start(code, processes=2):
    """Python code in several processes, after PRELUDE, with `import fullconv` before it."""
    command = [sys.executable, "-c", "import fullconv" + PRELUDE + code]
    launch = [sys.executable, "-m", "fullconv.lib.tools.launch", "-n", str(processes), "--", *command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(launch, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)


def finish(process, seconds=300):
    try:
        out, errors = process.communicate(timeout=seconds)
    finally:
        process.kill()  # the others end with it
    return process.returncode, out, errors


def listening(pid):
    """Addresses other than loopback's on which a process listens, as /proc has them."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.update(re.findall(r"socket:\[(\d+)\]", os.readlink(descriptor)))
        except FileNotFoundError:
            continue
    tables = "".join(Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6"))
    lines = [line.split() for line in tables.splitlines()]
    found = [line[1] for line in lines if line[3] == "0A" and line[9] in sockets]
    return [address for address in found if not address.startswith(("0100007F", "0" * 24 + "01000000"))]


def gone(pid, seconds=30.0):
    """Whether a process ends in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


# ---------------------------------------------------------------------------------------------------- together

SUMS = """
import mxnet as mx
rank, size = world.rank, world.size
assert size == 3 and world.first == (rank == 0)
numbers = np.arange(5, dtype=np.float32) * (rank + 1)
world.sum(numbers)
np.testing.assert_array_equal(numbers, np.arange(5) * 6)
assert world.texts("é" * rank) == ["", "é", "éé"]
assert world.of_first(lambda: 7 if rank == 0 else 1 // 0) == 7

shapes = {"weight": (3, 4, 5), "huge": (BUCKET + 7,), "scalar": (1,), "last": (BUCKET // 2, 3)}
value = lambda name, rank: np.random.RandomState([rank, len(name)]).randn(*shapes[name]).astype(np.float32)
arrays = {name: mx.nd.array(value(name, rank)) for name in shapes}
Buckets(world, shapes).sum(arrays)
for name in shapes:
    expected = sum(value(name, other).astype(np.float64) for other in range(size))
    np.testing.assert_allclose(arrays[name].asnumpy(), expected, rtol=1e-5, atol=1e-6)
content = b"".join(array.asnumpy().tobytes() for array in arrays.values())
everybodys = world.texts(hashlib.sha256(content).hexdigest())
assert len(set(everybodys)) == 1, "the sums differ between processes"

mine = {"a": mx.nd.full((2, 3), rank), "b": mx.nd.full((1,), np.nan)}
assert not share_arrays(world, mine) and (mine["a"].asnumpy() == 0).all()
assert share_arrays(world, mine), "nan is equal to itself"
with world.ending_together():
    if world.first:
        time.sleep(0.5)
os.write(1, b"whole\\n")
"""


@needs_mpi
def test_processes_sum_and_share():
    code, out, errors = finish(start(SUMS, processes=3))
    assert code == 0 and out.count("whole") == 3, out + errors


def test_one_process_needs_no_mpi():
    assert join("device") is ALONE and join("local") is ALONE
    assert ALONE.texts("x") == ["x"] and ALONE.of_first(lambda: 3) == 3
    ALONE.rest()
    with pytest.raises(KeyError), ALONE.ending_together():
        raise KeyError


# ------------------------------------------------------------------------------------------------------ the end

WORK = """
os.write(1, f"pid {world.rank} {os.getpid()}\\n".encode())  # whole, unlike what print may do
array = np.ones(1000, np.float32)
with world.ending_together():
    for step in range(100000):
        if step > 20 and world.rank == FAULTY:
            FAULT
        world.sum(array)
        array[:] = 1
        time.sleep(0.01)
"""


def working(faulty, fault):
    """Processes that sum for many minutes unless `fault` happens, and their numbers by rank."""
    process = start(WORK.replace("FAULTY", str(faulty)).replace("FAULT", fault))
    lines = [process.stdout.readline().split() for _ in range(2)]
    assert all(line[:1] == ["pid"] for line in lines), process.communicate()
    return process, {int(rank): int(pid) for _, rank, pid in lines}


@needs_mpi
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_all_and_nothing_listens(rank):
    process, pids = working(-1, "pass")
    assert [listening(pid) for pid in (process.pid, *pids.values())] == [[], [], []]
    began = time.monotonic()
    os.kill(pids[rank], signal.SIGKILL)
    code, _, errors = finish(process)
    assert code == 128 + signal.SIGKILL and time.monotonic() - began < 30
    assert f"process {rank} (pid {pids[rank]}) was killed by SIGKILL; all 2 processes are ended" in errors
    assert all(gone(pid) for pid in pids.values())


@needs_mpi
def test_without_their_launcher_processes_end_themselves():
    process, pids = working(-1, "pass")
    process.kill()
    assert all(gone(pid) for pid in pids.values())
    assert f"the process that started it (pid {process.pid}) is gone: ending" in process.communicate()[1]


@needs_mpi
@pytest.mark.parametrize(
    "fault, status, said",
    [
        ("raise RuntimeError('a defect')", 1, "RuntimeError: a defect"),
        ("sys.exit(3)", 3, "process 1 (pid"),
        ("os._exit(0)", 1, "ended before the others were done"),
    ],
    ids=["raise", "exit", "leave"],
)
def test_a_process_that_fails_ends_all(fault, status, said):
    process, pids = working(1, fault)
    code, _, errors = finish(process)
    assert code == status and said in errors and "all 2 processes are ended" in errors, errors
    assert all(gone(pid) for pid in pids.values())


# --------------------------------------------------------------------------------------------------- refusals


def test_processes_that_would_train_side_by_side_are_refused(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "2")
    with pytest.raises(ValueError, match="one of 2 processes .* kvstore device: set it to mpi"):
        join("device")


@needs_mpi
def test_processes_of_another_mpi_are_refused():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "import fullconv" + PRELUDE], env=environment, capture_output=True, text=True
    )
    assert "2 processes were started and 1 found each other: mpi4py uses MPICH" in done.stderr


def test_without_mpi4py_the_remedy_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    from fullconv.lib.core import distributed

    with pytest.raises(ImportError, match="pip install mpi4py mpich"):
        distributed._joined.__wrapped__()


@pytest.mark.parametrize("role", ["server", "scheduler", "worker"])
def test_mxnets_parameter_server_does_not_start(role):
    """MXNet becomes one when it is imported with this in the environment."""
    done = subprocess.run(
        [sys.executable, "-c", "import fullconv"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "DMLC_ROLE": role},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and f"DMLC_ROLE is {role!r}" in done.stderr
