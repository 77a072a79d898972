"""lib.utils.lock: one program at a time, and a killed one's lock is free."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fullconv.lib.utils import lock

ROOT = Path(__file__).resolve().parents[3]
HOLDER = """
import sys, time
from fullconv.lib.utils import lock
with lock.held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(100)
"""


def test_another_process_is_named_and_a_killed_one_leaves_the_lock_free(tmp_path):
    path = str(tmp_path / "e2e.lock")
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    message = rf"e2e.lock: another run is writing here: process {holder.pid} on \S+,"
    with pytest.raises(lock.LockedError, match=message), lock.held(path):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    with lock.held(path):
        assert f'"pid": {os.getpid()}' in Path(path).read_text()
    assert not os.path.exists(path)


def test_the_holder_may_ask_again_and_a_removed_folder_is_no_error(tmp_path):
    path = tmp_path / "sub" / "e2e.lock"
    path.parent.mkdir()
    with lock.held(path):
        with lock.held(path):
            pass
        assert path.is_file(), "the inner one must not let go of the outer one's"
        path.unlink()
        path.parent.rmdir()


def test_where_there_are_no_locks_it_is_said(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with lock.held(tmp_path / "e2e.lock"):
        assert "e2e.lock: no locks here" in caplog.text and "keep other runs away" in caplog.text
