"""Training, testing, resuming and the demo as a person runs them, on a few small pictures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fullconv.fcos import demo
from fullconv.fcos.config import METHOD
from fullconv.fcos.model import FCOS
from fullconv.fcos.test import check_test_set
from fullconv.fcos.test import test as run_test
from fullconv.fcos.train_end2end import train
from fullconv.lib.convert import weights
from fullconv.lib.core import checkpoint
from fullconv.lib.experiment.command_line import main

ROOT = Path(__file__).resolve().parents[2]
CFG = ROOT / "experiments/fcos/cfgs/shapes_fcos.yaml"
SMALL = {
    "DATASETS.TRAIN": "['train6']",
    "DATASETS.TEST": "['val3']",
    "INPUT.MIN_SIZE_TRAIN": "[64,80]",
    "INPUT.MIN_SIZE_TEST": "64",
    "MODEL.FCOS.NUM_CONVS": "1",
    "MODEL.RESNETS.BACKBONE_OUT_CHANNELS": "32",
    "SOLVER.OPTIMIZER": "torch_sgd",
    "SOLVER.IMS_PER_BATCH": "4",
    "SOLVER.IMS_PER_DEVICE": "2",
    "RUN.devices": "cpu",
    "SOLVER.MAX_ITER": "4",
    "SOLVER.CHECKPOINT_PERIOD": "2",
    "SOLVER.STEPS": "[3]",
    "RUN.frequent": "1",
}


def words(folder, out, **changes):
    """Command line of a run; changes: `SOLVER__MAX_ITER="2"`."""
    keys = {**SMALL, "OUTPUT_DIR": out, "DATA.root_path": folder / "data", "DATA.dataset_path": folder / "shapes"}
    keys.update({key.replace("__", "."): value for key, value in changes.items()})
    return ["--cfg", str(CFG), "--set", *(str(word) for pair in keys.items() for word in pair)]


def run(monkeypatch, stages, options):
    monkeypatch.setattr(sys, "argv", ["fcos", *options])
    main(METHOD, "fcos", *stages)


def prefix(out):
    return str(Path(out) / CFG.stem / "train6" / "model")


def arrays(out, number):
    args, aux = checkpoint.load_params(prefix(out), number)
    return {name: array.asnumpy() for name, array in {**args, **aux}.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fcos")


@pytest.fixture(scope="module")
def finished(folder):
    """A whole run of the script."""
    script = ROOT / "experiments/fcos/fcos_end2end_train_test.py"
    result = subprocess.run(
        [sys.executable, str(script), *words(folder, folder / "a")], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return folder / "a", result.stdout + result.stderr


def test_what_a_run_leaves_behind(finished):
    out, text = finished
    train, test = out / CFG.stem / "train6", out / CFG.stem / "val3"
    assert "6 images, 4 per update, 4 updates, a checkpoint every 2" in text and "instead of 16" in text
    assert sorted(p.name for p in train.glob("model-*.params")) == ["model-0001.params", "model-0002.params"]
    assert (train / "model-classes.txt").read_text().split()[0] == "__background__"
    assert (train / "model-curves.png").is_file() and (train / "model-config.yaml").is_file()
    assert "mAP@0.5" in json.loads((test / "scores.json").read_text())
    assert (test / "pictures" / "index.html").is_file()


def test_resumed_it_is_as_uninterrupted(monkeypatch, folder, finished):
    out = folder / "parts"
    # It must not change a number that MXNet is told to use deterministic algorithms alone.
    monkeypatch.setenv("MXNET_ENFORCE_DETERMINISM", "1")
    run(monkeypatch, [train], words(folder, out, SOLVER__MAX_ITER="2"))
    run(monkeypatch, [train], [*words(folder, out), "--resume"])
    for name, array in arrays(finished[0], 2).items():
        np.testing.assert_array_equal(array, arrays(out, 2)[name], err_msg=name)


@pytest.mark.parametrize("devices, images", [("cpu:2", "2"), ("cpu", "1"), ("cpu:2", "1")])
def test_however_an_update_is_divided_it_is_the_same(monkeypatch, folder, devices, images):
    """Divisors are those of the update, so devices and accumulated batches only have to be summed.

    All four images of an update have one size, or padding, which GroupNorm sees, would depend on what is together.
    """
    one, other = folder / "whole", folder / f"{devices}-{images}"
    same = {"INPUT__MIN_SIZE_TRAIN": "[64]", "DATALOADER__ASPECT_RATIO_GROUPING": "false", "SOLVER__MAX_ITER": "2"}
    if not one.exists():
        run(monkeypatch, [train], words(folder, one, **same, SOLVER__IMS_PER_DEVICE="4", DATASETS__TRAIN="['train4']"))
    more = {"SOLVER__IMS_PER_DEVICE": images, "RUN__devices": devices, "DATASETS__TRAIN": "['train4']"}
    run(monkeypatch, [train], words(folder, other, **same, **more))
    found, expected = (
        checkpoint.load_params(str(Path(out) / CFG.stem / "train4" / "model"), 1)[0] for out in (other, one)
    )
    for name, array in expected.items():
        np.testing.assert_allclose(found[name].asnumpy(), array.asnumpy(), rtol=1e-3, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("devices, images, remark", [("cpu:2", "2", "the whole update"), ("cpu", "2", "not of the 4")])
def test_batch_norms_of_all_devices(monkeypatch, folder, capfd, devices, images, remark):
    """Two devices with two images each are one with four; batches that come one after another are not, and are said."""
    body = {"MODEL__BACKBONE__CONV_BODY": "MNV2-FPN-RETINANET", "MODEL__BACKBONE__USE_GN": "false"}
    same = {
        "INPUT__MIN_SIZE_TRAIN": "[64]",
        "DATALOADER__ASPECT_RATIO_GROUPING": "false",
        "SOLVER__MAX_ITER": "1",
        "SOLVER__CHECKPOINT_PERIOD": "1",
    }
    same.update({"MODEL__USE_SYNCBN": "true", "DATASETS__TRAIN": "['train4']", **body})
    one, other = folder / "joint", folder / f"joint-{devices}"
    if not one.exists():
        run(monkeypatch, [train], words(folder, one, **same, SOLVER__IMS_PER_DEVICE="4"))
    capfd.readouterr()
    run(monkeypatch, [train], words(folder, other, **same, SOLVER__IMS_PER_DEVICE=images, RUN__devices=devices))
    assert remark in "".join(capfd.readouterr())
    whole, found = (checkpoint.load_params(str(Path(out) / CFG.stem / "train4" / "model"), 1) for out in (one, other))
    pairs = [(found[part][n].asnumpy(), a.asnumpy()) for part in (0, 1) for n, a in whole[part].items()]
    # Of one update: norms of a few numbers each, from random weights, enlarge what rounding leaves with every other.
    equal = [np.allclose(one, other, rtol=1e-3, atol=2e-5) for one, other in pairs]
    assert all(equal) == (devices == "cpu:2")


def test_a_model_of_pytorchs_form_is_tested(monkeypatch, folder, finished, tmp_path):
    out, _ = finished
    path = str(tmp_path / "FCOS_slim.pth")
    weights.write(path, weights.read(f"{prefix(out)}-0002.params"))
    run(monkeypatch, [run_test], [*words(folder, tmp_path, MODEL__WEIGHT=path), "--test_weight"])
    scores = json.loads((tmp_path / CFG.stem / "val3" / "scores.json").read_text())
    assert scores == json.loads((out / CFG.stem / "val3" / "scores.json").read_text())
    with pytest.raises(SystemExit):
        run(monkeypatch, [run_test], [*words(folder, tmp_path), "--test_weight"])


def test_all_views_of_an_image_are_tested(monkeypatch, folder, finished):
    aug = {"TEST__BBOX_AUG__ENABLED": "true", "TEST__BBOX_AUG__H_FLIP": "true", "TEST__BBOX_AUG__SCALES": "[48]"}
    run(monkeypatch, [check_test_set, run_test], words(folder, finished[0], **aug))


def test_missing_weights_say_where_to_get_them(monkeypatch, folder, tmp_path, caplog):
    weight = "catalog://ImageNetPretrained/MSRA/R-50"
    with pytest.raises(SystemExit):
        run(monkeypatch, [train], words(folder, tmp_path, MODEL__WEIGHT=weight))
    assert "R-50.pkl: no such file. It stands for catalog://ImageNetPretrained/MSRA/R-50" in caplog.text


def test_demo_and_class_for_programs(finished, tmp_path):
    out, _ = finished
    cv2.imwrite(str(tmp_path / "photo.png"), np.random.RandomState(0).randint(0, 255, (90, 70, 3), np.uint8))
    options = ["--model", prefix(out), "--out", str(tmp_path / "demo"), "--json", str(tmp_path / "a.json")]
    assert demo.main([str(tmp_path / "photo.png"), *options, "--thresh", "0"]) == 0
    assert (tmp_path / "demo" / "index.html").is_file() and json.loads((tmp_path / "a.json").read_text())["images"]
    model = FCOS(f"{prefix(out)}-0002.params", cpu_only=True, overrides={"MODEL.FCOS.INFERENCE_TH": 0.0})
    found = model.detect(cv2.imread(str(tmp_path / "photo.png")), min_confidence=0.0)
    assert found and set(found[0]) == {"box", "score", "label_name", "label_id"}
    assert [f["score"] for f in found] == sorted((f["score"] for f in found), reverse=True)
    assert model.detect(cv2.imread(str(tmp_path / "photo.png")), [2.0] * 5) == []


def test_demo_without_a_model_says_where_to_get_one(tmp_path, capsys):
    assert demo.main(["--model", str(tmp_path / "none"), "x.png"]) == 2
    assert "no model: looked for" in capsys.readouterr().err
