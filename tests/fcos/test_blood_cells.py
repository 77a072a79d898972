"""Photographs of blood cells in VOC's XML, from an ImageNet network without batch norms: the first two updates."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from fullconv.fcos.config import METHOD
from fullconv.fcos.test import check_test_set
from fullconv.fcos.test import test as run_test
from fullconv.fcos.train_end2end import train
from fullconv.lib.core import checkpoint
from fullconv.lib.experiment.command_line import main

CFG = Path(__file__).resolve().parents[2] / "experiments/fcos/cfgs/bccd_fcos.yaml"
CLASSES = {"RBC", "WBC", "Platelets"}


@pytest.fixture
def cells(data_dir, tmp_path):
    """Six photographs of the set, two of them to be tested."""
    source = data_dir / "bccd" / "BCCD"
    if not source.is_dir():
        pytest.skip(f"no {source}")
    folder = tmp_path / "BCCD"
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    for part in ("Annotations", "JPEGImages"):
        (folder / part).symlink_to(source / part)
    for name, first, last in (("trainval", 0, 4), ("test", 0, 2)):
        ids = (source / "ImageSets" / "Main" / f"{name}.txt").read_text().split()[first:last]
        (folder / "ImageSets" / "Main" / f"{name}.txt").write_text("\n".join(ids) + "\n")
    return folder


def test_from_imagenet_weights_to_scores(monkeypatch, data_dir, cells, tmp_path):
    weights = data_dir / "weights" / "mobilenet_v2_imagenet_fcos_input.npz"
    if not weights.is_file():
        pytest.skip(f"no {weights}")
    keys = {
        "OUTPUT_DIR": tmp_path / "out",
        "DATA.dataset_path": cells,
        "MODEL.WEIGHT": weights,
        "MODEL.RESNETS.BACKBONE_OUT_CHANNELS": 32,
        "INPUT.MIN_SIZE_TRAIN": "[96]",
        "INPUT.MIN_SIZE_TEST": 96,
        "SOLVER.MAX_ITER": 2,
        "SOLVER.STEPS": "[2]",
        "SOLVER.CHECKPOINT_PERIOD": 2,
    }
    words = [str(word) for pair in keys.items() for word in pair]
    monkeypatch.setattr(sys, "argv", ["fcos", "--cfg", str(CFG), "--set", *words])
    main(METHOD, "fcos", check_test_set, train, run_test)
    trained, tested = tmp_path / "out" / CFG.stem / "trainval", tmp_path / "out" / CFG.stem / "test"
    assert "statistics are measured" in "".join(log.read_text() for log in trained.glob("*.log"))
    scores = json.loads((tested / "scores.json").read_text())
    assert all(any(name in key for key in scores) for name in CLASSES)
    _, aux = checkpoint.load_params(str(trained / "model"), 1)
    means = [array.asnumpy() for name, array in aux.items() if name.endswith("running_mean")]
    assert means and all(mean.any() for mean in means)
