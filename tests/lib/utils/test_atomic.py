"""Files that are whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

from fullconv.lib.utils import atomic

ROOT = Path(__file__).resolve().parents[3]


def test_atomic_text(tmp_path):
    path = str(tmp_path / "a.txt")
    assert atomic.write_text(path, "é\n") == atomic.sha256(path) and os.listdir(tmp_path) == ["a.txt"]
