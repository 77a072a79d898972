"""Files that are whole or absent."""

from __future__ import annotations

import os
import stat

import numpy as np
import pytest

from fullconv.lib.utils import atomic

WRITERS = {
    "text": lambda path: atomic.write_text(path, "new"),
    "checked": lambda path: atomic.write(path, lambda file: file.write(b"new"), checksum=True),
    "arrays": lambda path: atomic.write_npz(path, {"a": np.arange(3)}),
    "compressed": lambda path: atomic.write_npz(path, {"a": np.arange(3)}, compressed=True),
}


def test_atomic_text(tmp_path):
    path = str(tmp_path / "a.txt")
    assert atomic.write_text(path, "é\n") == atomic.sha256(path) and os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("kind", WRITERS)
def test_content_is_on_disk_before_the_name_is(tmp_path, monkeypatch, kind):
    """Written aside, flushed, renamed, the folder flushed: a lost machine leaves the old file or the new one."""
    steps, fsync, replace = [], os.fsync, os.replace

    def flush(descriptor):
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def rename(old, new):
        assert steps[-1] == os.stat(old).st_ino, f"{new} was renamed before its content was flushed"
        replace(old, new)
        steps.append(os.path.basename(new))

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "replace", rename)
    WRITERS[kind](str(tmp_path / "a"))
    assert "a" in steps and steps[-1] == "folder"


@pytest.mark.parametrize("kind", WRITERS)
def test_a_failed_write_leaves_the_old_content(tmp_path, monkeypatch, kind):
    path = tmp_path / "a"
    path.write_text("old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        WRITERS[kind](str(path))
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a"]


def test_archives_of_the_same_arrays_are_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        atomic.write_npz(str(tmp_path / name), {"x": np.arange(1000), "y": np.zeros((2, 3))}, compressed=True)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
