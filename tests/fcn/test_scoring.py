"""Scores at every snapshot: those of a test of that snapshot, none lost, the training untouched by them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from fullconv.fcn import scoring
from fullconv.fcn import test as testing
from fullconv.fcn.train_end2end import train
from fullconv.lib.core import checkpoint
from fullconv.lib.evaluation.segmentation import SegmentationEvaluator
from tests.fcn.test_end_to_end import CFG, run_here, settings

ONE = ["symbol", "voc-fcn32s", "TRAIN.lr", "0.01"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scoring")


def results(output):
    return Path(output) / CFG.stem / "val3" / "voc-fcn32s"


def history(output):
    return [json.loads(line) for line in (results(output) / "scores.jsonl").read_text().splitlines()]


def test_every_snapshot_is_scored_and_training_does_not_notice(folder, monkeypatch, capsys):
    run_here(monkeypatch, settings(folder, folder / "plain", *ONE), train)
    assert not results(folder / "plain").exists()
    run_here(monkeypatch, settings(folder, folder / "scored", *ONE, "TRAIN.score_snapshots", "true"), train)
    weights = [
        checkpoint.load_params(str(folder / name / CFG.stem / "train6" / "voc-fcn32s"), 2)[0]
        for name in ("plain", "scored")
    ]
    for name, array in weights[0].items():
        np.testing.assert_array_equal(array.asnumpy(), weights[1][name].asnumpy(), err_msg=name)
    assert len(re.findall(r">>> \S+ \S+ Iteration 2 mean IU", capsys.readouterr().out)) == 1
    records = history(folder / "scored")
    assert [record["step"] for record in records] == [2, 4]
    assert (results(folder / "scored") / "scores.png").is_file()


def test_a_test_of_a_snapshot_gives_its_scores_and_appends_them(folder, monkeypatch):
    words = settings(folder, folder / "scored", *ONE)
    run_here(monkeypatch, [*words, "TEST.test_epoch", "1"], testing.test)
    first, _, again = history(folder / "scored")
    assert {k: v for k, v in again.items() if k != "time"} == {k: v for k, v in first.items() if k != "time"}
    lines = (results(folder / "scored") / "scores.log").read_text().splitlines()
    pattern = r">>> [-\d]+ [:\d]+ Iteration (\d+) (loss|overall accuracy|mean accuracy|mean IU|fwavacc) (\S+)"
    found = [re.fullmatch(pattern, line) for line in lines]
    assert [int(match.group(1)) for match in found] == [2] * 5 + [4] * 5 + [2] * 5
    assert float(found[3].group(3)) == first["mean IU"]


def test_a_training_from_the_start_begins_a_new_history(folder, monkeypatch):
    words = settings(folder, folder / "scored", *ONE, "TRAIN.score_snapshots", "true")
    before = (results(folder / "scored") / "scores.jsonl").read_text()
    run_here(monkeypatch, ["--resume", *words, "TRAIN.max_iter", "6"], train)
    assert (results(folder / "scored") / "scores.jsonl").read_text().startswith(before)
    assert [record["step"] for record in history(folder / "scored")] == [2, 4, 2, 6]
    run_here(monkeypatch, [*words, "TRAIN.max_iter", "2"], train)
    assert [record["step"] for record in history(folder / "scored")] == [2]
    kept = sorted(path.name.split("until-")[0] for path in results(folder / "scored").glob("scores-until-*"))
    assert len(kept) == 3 and before in next(results(folder / "scored").glob("scores-until-*.jsonl")).read_text()


def test_a_test_set_that_does_not_fit_shows_before_training(folder, monkeypatch, caplog):
    words = settings(folder, folder / "missing", *ONE, "TRAIN.score_snapshots", "true")
    with pytest.raises(SystemExit):
        run_here(monkeypatch, [*words, "dataset.test_image_set", "nothing"], train)
    assert "nothing" in caplog.text
    assert not list((folder / "missing").rglob("*.params"))


class Images:
    """One image of two tasks."""

    name, image_ids = "two", ["a"]
    tasks = {"sem": ["x", "y"], "geo": ["u", "v"]}

    def __len__(self):
        return 1

    def read_label(self, index, task):
        return np.zeros((2, 2), np.uint8)


def test_tasks_have_their_own_curves_and_unknown_updates_none(tmp_path):
    evaluator = SegmentationEvaluator(Images())
    evaluator.add(0, dict.fromkeys(("sem", "geo"), np.zeros((2, 2), np.uint8)), {"sem": 2.0, "geo": 3.0})
    kept = scoring.ScoreHistory(tmp_path / "results")
    lines = kept.add(evaluator, 7, "net-0007.params")
    assert [line.split()[-1] for line in lines if " loss " in line] == ["2.0", "3.0"]
    kept.add(evaluator, 0, "published.caffemodel")
    (record,) = map(json.loads, kept.jsonl.read_text().splitlines())
    assert record["sem loss"] == 2 and record["geo mean IU"] == 1 and record["weights"] == "net-0007.params"
    assert len(kept.log.read_text().splitlines()) == 20


def test_a_history_that_cannot_be_written_names_the_file(tmp_path):
    evaluator = SegmentationEvaluator(Images())
    evaluator.add(0, dict.fromkeys(("sem", "geo"), np.zeros((2, 2), np.uint8)))
    (tmp_path / "scores.log").mkdir()
    with pytest.raises(OSError, match="scores.log"):
        scoring.ScoreHistory(tmp_path).add(evaluator, 1, "x")
