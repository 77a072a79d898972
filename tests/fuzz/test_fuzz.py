"""A short version of `python -m tests.fuzz`: some damaged files of every reader, always the same ones."""

from __future__ import annotations

import os

import pytest

from tests.fuzz.campaign import run
from tests.fuzz.readers import readers

FILES = int(os.environ.get("FUZZ", 150))
READERS = {reader.name: reader for reader in readers()}


@pytest.mark.parametrize("name", READERS)
def test_damaged_files(name, tmp_path, monkeypatch):
    monkeypatch.setenv("FULLCONV_MAX_PIXELS", "1000000")
    report = run(READERS[name], tmp_path, FILES, seconds=20)
    assert not report.faults, "\n".join(report.faults)
    assert report.files == FILES
