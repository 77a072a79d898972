"""Curves from training logs, whole, truncated, resumed and absent."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest

from fullconv.lib.visualize.curves import epoch_starts, main, read_log, series, smooth, write_curves


def records(count=60):
    return [
        {"epoch": s // 20, "batch": s % 20, "step": s, "lr": 0.01, "samples_per_sec": 3.0, "RPNAcc": s / 100}
        for s in range(count)
    ]


def write(path, rows, tail=""):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
    return path


def test_a_truncated_line_and_foreign_text_are_left_out(tmp_path):
    log = write(tmp_path / "log.jsonl", records(), '[1, 2]\nnot json\n\x00\n{"epoch": 3, "st')
    assert read_log(log) == records()


def test_bookkeeping_and_what_is_no_number_is_not_plotted():
    rows = [*records(3), {"step": 3, "RPNAcc": None, "loss": math.nan, "note": "x", "flag": True}]
    curves = series(rows)
    assert set(curves) == {"lr", "RPNAcc"}
    np.testing.assert_array_equal(curves["RPNAcc"][0], [0, 1, 2])


def test_a_resumed_run_overwrites_the_steps_it_repeats():
    rows = [*records(10), *({**row, "RPNAcc": 7.0} for row in records(10)[5:8])]
    steps, values = series(rows)["RPNAcc"]
    np.testing.assert_array_equal(steps, np.arange(10))
    np.testing.assert_allclose(values, [0, 0.01, 0.02, 0.03, 0.04, 7, 7, 7, 0.08, 0.09])


def test_epochs_and_steps_may_be_missing():
    assert epoch_starts(records()) == [20, 40]
    steps, _ = series([{"loss": 1.0}, {"loss": 2.0}])["loss"]
    np.testing.assert_array_equal(steps, [0, 1])


def test_smoothing_keeps_constants_and_length():
    for count in (1, 2, 19, 200):
        np.testing.assert_allclose(smooth(np.full(count, 3.0)), np.full(count, 3.0))
    rough = np.random.RandomState(0).normal(size=400)
    assert smooth(rough).std() < 0.5 * rough.std()


@pytest.mark.parametrize("metrics", [1, 2, 5, 10])
def test_picture(tmp_path, metrics):
    rows = [{"step": s, **{f"m{k}": s * k for k in range(metrics)}} for s in range(5)]
    out = write_curves(write(tmp_path / "log.jsonl", rows), tmp_path / "deep" / "curves.png")
    picture = cv2.imread(str(out))
    assert picture.std() > 5 and picture.shape[1] > 300


def test_nothing_to_plot_yet_is_no_error_for_a_training(tmp_path):
    assert write_curves(tmp_path / "absent.jsonl", tmp_path / "c.png") is None
    assert write_curves(write(tmp_path / "log.jsonl", []), tmp_path / "c.png") is None


def test_command_line(tmp_path, capsys):
    log = write(tmp_path / "log.jsonl", records())
    assert main([str(log), str(tmp_path / "c.png")]) == 0
    assert main([str(log)]) == 0 and (tmp_path / "log.png").exists()
    assert main([str(tmp_path / "absent.jsonl")]) == 2
    assert "absent.jsonl does not exist" in capsys.readouterr().err
    assert main([str(write(tmp_path / "empty.jsonl", []))]) == 2
    assert "no numbers to plot" in capsys.readouterr().err
