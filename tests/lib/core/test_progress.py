"""What a training says of itself: the original's lines, times left, curves now and then."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from fullconv.lib.core import progress
from fullconv.lib.core.progress import Occasional, Progress

ORIGINAL = r"Epoch\[(\d+)\] Batch \[(\d+)\]\tSpeed: ([\d.]+) samples/sec\t.*?Train-(\w+)=([\d.]+)"
"""What scripts around the original look for."""


class Clock:
    def __init__(self):
        self.now = 0.0

    def time(self):
        return self.now

    monotonic = time


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


class Metrics:
    def values(self):
        return {"RPNAcc": 0.5, "FCISMaskLoss": float("nan")}


def test_the_originals_line_and_the_time_left(clock):
    lines, records = [], []
    shown = Progress(lines.append, records.append, frequent=2, images=4, total=12)
    for epoch in range(2):
        clock.now += 1000  # a checkpoint, and what is scored after it
        shown.begin(epoch, 6)
        for batch in range(1, 7):
            clock.now += 3
            shown.update(epoch, batch, batch == 6, 0.1, Metrics(), 6 * epoch + batch)
        shown.close()
    found = [re.match(ORIGINAL, line).groups() for line in lines]
    assert found[3] == ("1", "2", "1.33", "RPNAcc", "0.5000")
    assert [re.search(r"ETA: (\S+)", line).group(1) for line in lines[:2]] == ["0:00:30", "0:00:24"]
    assert "Train-FCISMaskLoss=nan" in lines[0] and records[0]["FCISMaskLoss"] is None
    assert [record["samples_per_sec"] for record in records] == pytest.approx([4 / 3] * 6)


def test_curves_at_most_once_a_minute_and_a_hundredth_of_the_time(clock):
    drawn = []

    def draw():
        drawn.append(clock.now)
        clock.now += 3

    now_and_then = Occasional(draw)
    while clock.now < 2000:
        clock.now += 1
        now_and_then()
    assert drawn == [60, 360, 660, 960, 1260, 1560, 1860]
    cheap = Occasional(lambda: drawn.append(clock.now))
    drawn.clear()
    while clock.now < 2200:
        clock.now += 1
        cheap()
    assert len(drawn) == 3


def test_curves_are_refreshed_within_an_epoch(clock):
    drawn = []
    shown = Progress(lambda line: None, lambda record: None, 1, 1, 300, lambda: drawn.append(clock.now))
    shown.begin(0, 300)
    for batch in range(1, 301):
        clock.now += 1
        shown.update(0, batch, batch == 300, 0.1, Metrics(), batch)
    assert drawn == [60, 120, 180, 240, 300]


PROGRAM = """
import fullconv, time
from fullconv.lib.core.progress import Progress
from fullconv.lib.utils.logger import RunLogger
logger = RunLogger({folder!r}, "run")
class Metrics:
    def values(self): return {{f"Metric{{n}}": 0.25 for n in range(8)}}
shown = Progress(logger.progress, logger.record, 2, 1, 4)
shown.begin(0, 4)
for batch in range(1, 5):
    time.sleep(0.15)
    shown.update(0, batch, batch == 4, 0.1, Metrics(), batch)
shown.close()
logger.info("the end")
"""


def test_on_a_real_terminal(tmp_path):
    """A bar of the epoch with the numbers below; the lines are in the file, and only the last is on the screen."""
    outer, inner = pty.openpty()
    words = [sys.executable, "-c", PROGRAM.format(folder=str(tmp_path))]
    process = subprocess.Popen(words, stdout=inner, stderr=inner, env={**os.environ, "COLUMNS": "80"})
    os.close(inner)
    shown = b""
    while True:
        try:
            part = os.read(outer, 65536)
        except OSError:  # how a terminal ends whose other side was closed
            break
        if not part:
            break
        shown += part
    assert process.wait() == 0
    text = shown.decode()
    assert "epoch 0" in text and re.search(r"4/4 \[.*, run 0:00:00", text) and "Metric7 0.2500" in text
    assert "Train-Metric0" not in text and "the end" in text
    lines = next(tmp_path.glob("run_*.log")).read_text().splitlines()
    assert len([line for line in lines if re.search(ORIGINAL, line)]) == 2
