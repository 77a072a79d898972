"""Training, testing, resuming, the classifier and the demo as a person runs them, on a few small pictures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fullconv.instancefcn import demo
from fullconv.instancefcn.classifier.steps import propose
from fullconv.instancefcn.classifier.test import test as run_classifier_test
from fullconv.instancefcn.classifier.train import train as train_classifier
from fullconv.instancefcn.config import CLASSIFIER_METHOD, METHOD
from fullconv.instancefcn.test import test as run_test
from fullconv.instancefcn.train_end2end import train
from fullconv.lib.core import checkpoint
from fullconv.lib.experiment.command_line import main

ROOT = Path(__file__).resolve().parents[2]
CFG = ROOT / "experiments/instancefcn/cfgs/shapes_instancefcn.yaml"
SMALL = {
    "dataset.image_set": "train4",
    "dataset.test_image_set": "val2",
    "SCALES": "[64,96]",
    "network.HIDDEN": "16",
    "TRAIN.CANONICAL": "32",
    "TRAIN.max_iter": "4",
    "TRAIN.snapshot": "2",
    "TRAIN.lr_step": "[3]",
    "TRAIN.warmup_step": "0",
    "default.frequent": "1",
    "TEST.PROPOSALS": "30",
    "CLASSIFIER.SCALES": "[64,96]",
    "CLASSIFIER.CANONICAL": "24",
    "CLASSIFIER.HIDDEN": "16",
    "CLASSIFIER.ROIS": "12",
    "CLASSIFIER.PROPOSALS": "20",
    "CLASSIFIER.max_iter": "2",
    "CLASSIFIER.snapshot": "2",
}


def words(folder, out, **changes):
    """Command line of a run; changes: `TRAIN__max_iter="2"`."""
    keys = {**SMALL, "output_path": out, "dataset.root_path": folder / "data"}
    keys["dataset.dataset_path"] = folder / "shapes"
    keys.update({key.replace("__", "."): value for key, value in changes.items()})
    return ["--cfg", str(CFG), "--set", *(str(word) for pair in keys.items() for word in pair)]


def run(monkeypatch, stages, options, method=METHOD):
    monkeypatch.setattr(sys, "argv", ["instancefcn", *options])
    main(method, "instancefcn", *stages)


def prefix(out, name="model"):
    return str(Path(out) / CFG.stem / "train4" / name)


def arrays(out, number):
    args, aux = checkpoint.load_params(prefix(out), number)
    return {name: array.asnumpy() for name, array in {**args, **aux}.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("instancefcn")


@pytest.fixture(scope="module")
def finished(folder):
    """A whole run of the script."""
    script = ROOT / "experiments/instancefcn/instancefcn_end2end_train_test.py"
    result = subprocess.run(
        [sys.executable, str(script), *words(folder, folder / "a")], capture_output=True, text=True, timeout=800
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return folder / "a", result.stdout + result.stderr


def test_what_a_run_leaves_behind(finished):
    out, text = finished
    trained, tested = out / CFG.stem / "train4", out / CFG.stem / "val2"
    assert "4 images, 2 per update, 4 updates, a checkpoint every 2" in text
    assert sorted(p.name for p in trained.glob("model-*.params")) == ["model-0001.params", "model-0002.params"]
    assert (trained / "model-curves.png").is_file() and (trained / "model-config.yaml").is_file()
    scores = json.loads((tested / "scores.json").read_text())
    assert set(scores) == {"AR@10", "AR@100", "AR@10 (touching)", "AR@100 (touching)"}
    records = json.loads((tested / "proposals.json").read_text())
    assert records and set(records[0]) == {"image_id", "category_id", "segmentation", "score"}
    for name in ("recall_curves.png", "recall_curves.csv", "pictures/index.html"):
        assert (tested / name).is_file()


def test_proposals_on_disk_are_taken_and_those_of_another_network_are_not(monkeypatch, folder, finished):
    tested = finished[0] / CFG.stem / "val2"

    def read_from_disk():
        return sum(path.read_text().count("proposals read from") for path in tested.glob("*.log"))

    run(monkeypatch, [run_test], words(folder, finished[0]))
    assert read_from_disk() == 1
    run(monkeypatch, [run_test], words(folder, finished[0], TEST__PROPOSALS="5"))
    assert read_from_disk() == 1
    records = json.loads((tested / "proposals.json").read_text())
    assert 0 < len(records) <= 10, "five of each of two images"


def test_resumed_it_is_as_uninterrupted(monkeypatch, folder, finished):
    out = folder / "parts"
    run(monkeypatch, [train], words(folder, out, TRAIN__max_iter="2"))
    run(monkeypatch, [train], [*words(folder, out), "--resume"])
    for name, array in arrays(finished[0], 2).items():
        np.testing.assert_array_equal(array, arrays(out, 2)[name], err_msg=name)


@pytest.mark.parametrize("average", ["true", "false"])
def test_however_an_update_is_divided_it_is_the_same(monkeypatch, folder, average):
    """One device that accumulates, two devices, and one with both images at a time, which have one size here."""
    same = {"SCALES": "[64]", "TRAIN__max_iter": "2", "TRAIN__optimizer": "sgd", "TRAIN__AVERAGE": average}
    ways = {"cpu": {}, "cpu:2": {}, "cpu, both": {"TRAIN__IMS_PER_DEVICE": "2"}}
    found = {}
    for way, more in ways.items():
        out = folder / f"{way}-{average}"
        run(monkeypatch, [train], words(folder, out, **same, **more, default__devices=way.split(",")[0]))
        found[way] = arrays(out, 1)
    for way in ("cpu:2", "cpu, both"):
        for name, array in found["cpu"].items():
            np.testing.assert_allclose(found[way][name], array, rtol=2e-3, atol=2e-5, err_msg=f"{way}: {name}")


@pytest.mark.parametrize("head", ["instancefcn", "deepmask"])
def test_trained_on_crops(monkeypatch, folder, tmp_path, head):
    crops = {"TRAIN__INPUT": "crop", "TRAIN__CROP_SIDE": "64", "TRAIN__WINDOWS": "4", "network__HEAD": head}
    more = {"network__DEEPMASK": "[4,8,8,16]", "TRAIN__max_iter": "1", "TRAIN__snapshot": "1"}
    run(monkeypatch, [train, run_test], words(folder, tmp_path, **crops, **more))
    assert json.loads((tmp_path / CFG.stem / "val2" / "proposals.json").read_text())


def test_classifier_trains_and_tests(monkeypatch, folder, finished):
    out, _ = finished
    run(monkeypatch, [propose, train_classifier, run_classifier_test], words(folder, out), CLASSIFIER_METHOD)
    assert (out / CFG.stem / "train4" / "proposals.json").is_file()
    assert checkpoint.latest(prefix(out, "classifier")) == 1
    scores = json.loads((out / CFG.stem / "val2" / "classifier" / "scores.json").read_text())
    assert {"mAP^r@0.5", "mAP^r@0.7"} <= set(scores)
    run(monkeypatch, [run_classifier_test], words(folder, out, CLASSIFIER__VOTING="gpu"), CLASSIFIER_METHOD)


def test_classifier_says_what_is_missing_and_what_is_wrong(monkeypatch, folder, tmp_path, caplog):
    with pytest.raises(SystemExit):
        run(monkeypatch, [train_classifier], words(folder, tmp_path), CLASSIFIER_METHOD)
    assert "no proposals of train4. Make them: instancefcn_end2end_test.py" in caplog.text
    record = {"image_id": "elsewhere", "category_id": 1, "score": 0.5, "segmentation": {"size": [4, 4], "counts": "0"}}
    (tmp_path / "other.json").write_text(json.dumps([record]))
    with pytest.raises(SystemExit):
        options = words(folder, tmp_path, CLASSIFIER__proposals=tmp_path / "other.json")
        run(monkeypatch, [train_classifier], options, CLASSIFIER_METHOD)
    assert "image_id 'elsewhere' is no image of the annotations" in caplog.text


def test_demo(finished, tmp_path):
    out, _ = finished
    # Smaller than a window in one direction.
    cv2.imwrite(str(tmp_path / "photo.png"), np.random.RandomState(0).randint(0, 255, (40, 170, 3), np.uint8))
    options = ["--model", prefix(out), "--out", str(tmp_path / "demo"), "--json", str(tmp_path / "a.json")]
    assert demo.main([str(tmp_path / "photo.png"), *options]) == 0
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["images"] and len(content["annotations"]) <= 30
    names = {path.stem for path in (tmp_path / "demo" / "images").iterdir()}
    assert {"photo", "photo-objectness"} <= names
    if content["annotations"]:
        assert {"photo-scores", "photo-instances"} <= names


def test_demo_without_a_model_says_how_to_get_one(tmp_path, capsys):
    assert demo.main(["--model", str(tmp_path / "none"), "x.png"]) == 2
    assert "no model: looked for" in capsys.readouterr().err
