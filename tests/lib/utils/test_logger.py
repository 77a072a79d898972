"""lib.utils.logger: one line per event, one json object per record, nothing lost or doubled."""

from __future__ import annotations

import json
import re

import numpy as np

from fullconv.lib.utils.logger import RunLogger


def test_lines_and_records(tmp_path, capsys):
    logger = RunLogger(tmp_path / "run", "shapes")
    logger.info("100% done")
    logger.record({"step": 1, "loss": np.float32(0.5), "bad": float("nan"), "name": "x"})
    assert "100% done" in capsys.readouterr().out and "100% done" in logger.log_path.read_text()
    assert re.fullmatch(r"shapes_\d{4}(-\d\d){4}\.log", logger.log_path.name)
    assert json.loads(logger.jsonl_path.read_text()) == {"step": 1, "loss": 0.5, "bad": None, "name": "x"}
    logger.close()


def test_a_second_logger_of_the_same_run_does_not_double_lines(tmp_path, capsys):
    first = RunLogger(tmp_path, "a")
    first.info("one")
    logger = RunLogger(tmp_path, "a")
    logger.warning("two")
    assert capsys.readouterr().out.count("two") == 1 and logger.log_path.read_text().count("two") == 1
    assert "two" not in first.log_path.read_text() and "one" not in logger.log_path.read_text()
    logger.close()


def test_a_silent_one_says_warnings_and_writes_nothing(tmp_path, capsys):
    logger = RunLogger(tmp_path / "run", "a", tensorboard=True, silent=True)
    logger.info("one")
    logger.record({"step": 1})
    logger.warning("two")
    said = capsys.readouterr().out
    assert "two" in said and "one" not in said and not (tmp_path / "run").exists()
    logger.close()


def test_tensorboard_files(tmp_path):
    logger = RunLogger(tmp_path, "a", tensorboard=True)
    logger.record({"step": 3, "loss": 0.25})
    logger.close()
    assert any(file.name.startswith("events") for file in (tmp_path / "tensorboard").iterdir())
