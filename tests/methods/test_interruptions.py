"""Training of every method that is killed, stopped by hand, or finds the disk full: the real scripts, as processes."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fullconv.lib.core import checkpoint
from tests.comparing import assert_same_arrays
from tests.methods.cases import CASES, run

EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the pictures are drawn once for all."""
    return tmp_path_factory.mktemp("pictures")


@EVERY
def test_killed_and_resumed_is_as_uninterrupted(case, folder, tmp_path):
    whole = run(case.command(folder, tmp_path / "whole"))
    assert whole.returncode == 0, whole.stdout[-3000:] + whole.stderr[-3000:]
    process = subprocess.Popen(case.command(folder, tmp_path / "killed"), stdout=subprocess.DEVNULL)
    first = Path(checkpoint.resume_path(case.prefix(tmp_path / "killed", case.networks[0]), 1))
    deadline = time.time() + 500
    while not first.exists() and process.poll() is None and time.time() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    # It must not change a number that MXNet is told to use deterministic algorithms alone.
    env = {**os.environ, "MXNET_ENFORCE_DETERMINISM": "1"}
    resumed = run(case.command(folder, tmp_path / "killed", "--resume"), env=env)
    assert resumed.returncode == 0 and "resumed from" in resumed.stdout, resumed.stdout + resumed.stderr
    for network in case.networks:
        assert_same_arrays(case.arrays(tmp_path / "killed", network), case.arrays(tmp_path / "whole", network))


@EVERY
def test_ctrl_c_ends_everything(case, folder, tmp_path):
    process = subprocess.Popen(
        case.command(folder, tmp_path, **case.longer),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for line in process.stdout:
        if "Batch [2]" in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 130, errors
    assert "interrupted; --resume goes on" in errors and "Traceback" not in errors, errors
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@EVERY
def test_a_full_disk_is_one_message_and_leaves_no_half_checkpoint(case, folder, tmp_path):
    """Files cannot grow beyond 100 kB, which fails as a full disk does."""
    command = case.command(folder, tmp_path)
    limit = (100_000, 100_000)
    done = run(command, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    text = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in text, text
    message = done.stderr.strip().splitlines()[-1]
    prefix = case.prefix(tmp_path, case.networks[0])
    assert f"{Path(prefix).name}-0001.params" in message and "File too large" in message and "free" in message, text
    assert checkpoint.epochs(prefix) == [] and not list(Path(prefix).parent.glob("*.tmp*"))
