"""The bar: on a terminal only, as wide as that, and lines beside it as they are without."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from fullconv.lib.utils.bar import Bar, wrapped
from fullconv.lib.utils.logger import RunLogger

EIGHT = {f"Metric{number}": number / 8 for number in range(8)}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def streams(monkeypatch, terminal):
    """Standard error and output that are a terminal, or are not."""
    made = [Terminal() if terminal else io.StringIO() for _ in range(2)]
    monkeypatch.setattr(sys, "stderr", made[0])
    monkeypatch.setattr(sys, "stdout", made[1])
    monkeypatch.setenv("COLUMNS", "60")
    return made


def test_numbers_are_wrapped_to_the_width():
    for width in (10, 40, 79, 200):
        lines = wrapped(EIGHT, width)
        assert " ".join(lines).split() == [word for name, v in EIGHT.items() for word in (name, f"{v:.4f}")]
        assert all(len(line) <= max(width, 14) for line in lines)
    assert len(wrapped(EIGHT, 200)) == 1 and len(wrapped(EIGHT, 10)) == 8 and wrapped({}, 80) == []


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_for_terminals(monkeypatch, terminal):
    error, _ = streams(monkeypatch, terminal)
    bar = Bar("epoch 3", 10)
    for _ in range(10):
        bar.advance()
    bar.tell("run 0:01:00", EIGHT)
    bar.close()
    shown = error.getvalue()
    if not terminal:
        assert shown == ""
        return
    assert "epoch 3" in shown and "10/10" in shown and "run 0:01:00" in shown and "Metric7 0.8750" in shown
    assert all(len(part) <= 60 for line in shown.split("\n") for part in line.split("\r"))


@pytest.mark.parametrize("terminal", [True, False])
def test_lines_of_progress_are_in_the_file_and_where_no_bar_is(monkeypatch, tmp_path, terminal):
    _, out = streams(monkeypatch, terminal)
    logger = RunLogger(tmp_path, "run")
    bar = Bar("epoch 0", 2)
    logger.progress("Epoch[0] Batch [1]")
    logger.info("saved it")
    bar.close()
    logger.close()
    kept = logger.log_path.read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in kept] == ["Epoch[0] Batch [1]", "saved it"]
    on_console = [line.split(" ", 2)[2] for line in out.getvalue().splitlines()]
    assert on_console == (["saved it"] if terminal else ["Epoch[0] Batch [1]", "saved it"])


def test_a_pipe_gets_every_line_though_the_bar_is_shown(monkeypatch, tmp_path):
    """`python train.py | tee log`: the standard error is a terminal, the standard output is not."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(sys, "stdout", out)
    logger = RunLogger(tmp_path, "run")
    logger.progress("Epoch[0] Batch [1]")
    logger.close()
    assert "Epoch[0] Batch [1]" in out.getvalue()


def test_a_console_that_breaks_does_not_end_the_run(monkeypatch, tmp_path, capsys):
    class Broken(io.StringIO):
        def write(self, text):
            raise OSError("gone")

    monkeypatch.setattr(logging, "raiseExceptions", False)
    monkeypatch.setattr(sys, "stdout", Broken())
    logger = RunLogger(tmp_path, "run")
    monkeypatch.undo()
    logger.info("a line")
    assert "a line" in logger.log_path.read_text()
    logger.close()
