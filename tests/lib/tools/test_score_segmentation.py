"""Scoring files, and the files a score is written to."""

import json

import cv2
import numpy as np
import pytest

from fullconv.lib.dataset.registry import segmentation_set
from fullconv.lib.dataset.segmentation.palette import write_palette_png
from fullconv.lib.evaluation.sanity import EvaluationError
from fullconv.lib.evaluation.segmentation import SegmentationEvaluator
from fullconv.lib.tools.score_segmentation import main, write_report


@pytest.fixture
def siftflow(reference_dir):
    return str(reference_dir / "fcn" / "data" / "siftflow")


def write_predictions(dataset, folder, wrong=0.3):
    """The truth with a share of random labels, per task; returns the arrays."""
    rng, arrays = np.random.RandomState(0), []
    for index, image_id in enumerate(dataset.image_ids):
        arrays.append({})
        for task, classes in dataset.tasks.items():
            truth = dataset.read_label(index, task)
            noise = rng.randint(0, len(classes), truth.shape)
            prediction = np.where((rng.rand(*truth.shape) < wrong) | (truth == 255), noise, truth)
            (folder / task).mkdir(parents=True, exist_ok=True)
            write_palette_png(str(folder / task / f"{image_id}.png"), prediction)
            arrays[-1][task] = prediction
    return arrays


def test_both_tasks_of_siftflow_from_files(siftflow, tmp_path, capsys):
    dataset = segmentation_set("siftflow", "test", dataset_path=siftflow)
    evaluator = SegmentationEvaluator(dataset)
    for index, prediction in enumerate(write_predictions(dataset, tmp_path / "p")):
        evaluator.add(index, prediction)
    arguments = ["--dataset", "siftflow", "--split", "test", "--path", siftflow, "--predictions", str(tmp_path / "p")]
    assert main([*arguments, "--out", str(tmp_path / "o")]) == 0
    printed = capsys.readouterr().out
    saved = json.loads((tmp_path / "o" / "scores.json").read_text())
    assert saved["images"] == len(dataset)
    for task, result in evaluator.result().items():
        stored = saved["tasks"][task]
        assert stored["mean IU"] == result.mean_iu and stored["fwavacc"] == result.fwavacc
        assert stored["confusion matrix"] == evaluator.matrices[task].tolist()
        table = (tmp_path / "o" / f"{task}.txt").read_text()
        assert table in printed and f"{100 * result.mean_iu:.2f}" in table
        assert cv2.imread(str(tmp_path / "o" / f"{task}_confusion.png")) is not None


def test_scoring_twice_gives_identical_files(siftflow, tmp_path):
    dataset = segmentation_set("siftflow", "test", dataset_path=siftflow)
    predictions = write_predictions(dataset, tmp_path / "p")
    contents = []
    for name in ("a", "b"):
        evaluator = SegmentationEvaluator(dataset)
        for index, prediction in enumerate(predictions):
            evaluator.add(index, prediction)
        write_report(evaluator, str(tmp_path / name))
        contents.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1] and len(contents[0]) == 1 + 2 * len(dataset.tasks)


def test_what_is_missing_is_named(siftflow, tmp_path, capsys):
    dataset = segmentation_set("siftflow", "test", dataset_path=siftflow)
    write_predictions(dataset, tmp_path / "p")
    (tmp_path / "p" / "geo" / f"{dataset.image_ids[1]}.png").unlink()
    arguments = ["--dataset", "siftflow", "--split", "test", "--path", siftflow, "--predictions", str(tmp_path / "p")]
    assert main(arguments) == 1
    assert f"1 predictions are missing, first {tmp_path}/p/geo/{dataset.image_ids[1]}.png" in capsys.readouterr().out
    write_palette_png(str(tmp_path / "p" / "geo" / f"{dataset.image_ids[1]}.png"), np.zeros((3, 4), int))
    assert main(arguments) == 1
    assert "the label is 4 x 3 but its image is" in capsys.readouterr().out
    with pytest.raises(EvaluationError, match="no image was evaluated"):
        write_report(SegmentationEvaluator(dataset), str(tmp_path / "o"))
    assert not (tmp_path / "o").exists()
