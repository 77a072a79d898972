"""Bad data and bad files through the programs a user runs: each ends well, or with one message that says what to do."""

from __future__ import annotations

import json
import re
import sys

import cv2
import numpy as np
import pytest

from fullconv.fcos.config import METHOD
from fullconv.fcos.test import check_test_set
from fullconv.fcos.test import test as run_test
from fullconv.fcos.train_end2end import train
from fullconv.lib.convert import weights
from fullconv.lib.experiment.command_line import main
from tests.programs import runner

CFG = "experiments/fcos/cfgs/coco_own_fcos.yaml"
H, W = 64, 96
SMALL = {
    "MODEL.WEIGHT": "",
    "MODEL.BACKBONE.CONV_BODY": "MNV2-FPN-RETINANET",
    "MODEL.BACKBONE.FREEZE_CONV_BODY_AT": 0,
    "MODEL.RESNETS.BACKBONE_OUT_CHANNELS": 32,
    "MODEL.FCOS.NUM_CONVS": 1,
    "INPUT.MIN_SIZE_TRAIN": f"[{H}]",
    "INPUT.MIN_SIZE_RANGE_TRAIN": "[-1,-1]",
    "INPUT.MAX_SIZE_TRAIN": 2 * W,
    "INPUT.MIN_SIZE_TEST": H,
    "INPUT.MAX_SIZE_TEST": 2 * W,
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.MAX_ITER": 2,
    "SOLVER.CHECKPOINT_PERIOD": 2,
    "SOLVER.STEPS": "[1]",
    "RUN.devices": "cpu",
    "RUN.frequent": 1,
    "DATASETS.TRAIN": "['own']",
    "DATASETS.TEST": "['own']",
}
GOOD = [10, 10, 30, 30]


def write_set(folder, boxes=((1, GOOD), (2, GOOD), (3, GOOD)), names=("cat", "dog"), images=3):
    """A COCO set `own` of noise; boxes: (image, x y width height) of the first class."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for key in range(1, images + 1):
        cv2.imwrite(str(folder / f"images/{key}.png"), np.random.RandomState(key).randint(0, 255, (H, W, 3), np.uint8))
    records = [
        {"id": k, "image_id": i, "category_id": 1, "bbox": list(box), "area": 1.0, "iscrowd": 0}
        for k, (i, box) in enumerate(boxes, 1)
    ]
    data = {
        "images": [{"id": k, "file_name": f"{k}.png", "height": H, "width": W} for k in range(1, images + 1)],
        "annotations": records,
        "categories": [{"id": k, "name": name} for k, name in enumerate(names, 1)],
    }
    (folder / "own.json").write_text(json.dumps(data))
    return folder


def words(folder, **changes):
    data = {"DATA.dataset_path": folder, "DATA.root_path": folder / "data", "OUTPUT_DIR": folder / "out"}
    keys = {**SMALL, **data, **changes}
    return ["--cfg", CFG, "--set", *(str(word) for pair in keys.items() for word in pair)]


@pytest.fixture
def run(monkeypatch, capsys, caplog):
    """run(options, *stages) as the scripts run them -> (exit code, everything written)."""
    return runner(METHOD, (check_test_set, train, run_test), monkeypatch, capsys, caplog)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A set and two updates on it."""
    folder = write_set(tmp_path_factory.mktemp("trained"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["program", *words(folder)])
        main(METHOD, "", train)
    return folder


def params(folder):
    return folder / "out" / "coco_own_fcos" / "own" / "model-0001.params"


def test_boxes_over_and_outside_the_image_and_without_extent(tmp_path, run):
    boxes = [(1, [80, 50, 60, 60]), (1, GOOD), (2, [200, 10, 5, 5]), (2, GOOD), (3, [4, 4, 0, 9]), (3, GOOD)]
    code, text = run(words(write_set(tmp_path, boxes)))
    assert code == 0 and "testing 3/3" in text, text


def test_images_without_objects_train_as_background(tmp_path, run):
    code, text = run(words(write_set(tmp_path, [(1, GOOD)]), **{"DATA.empty_images": "true"}), train)
    assert code == 0 and "3 images, 2 per update" in text, text
    code, text = run(words(write_set(tmp_path, [])), train)
    assert code == 1 and "none of its 3 images has an object to train on" in text, text


def test_a_diverging_run_stops_and_says_why(tmp_path, run):
    rates = {"SOLVER.BASE_LR": 1e9, "SOLVER.WARMUP_ITERS": 0, "SOLVER.MAX_ITER": 20, "SOLVER.CHECKPOINT_PERIOD": 20}
    code, text = run(words(write_set(tmp_path), **rates), train)
    assert code == 1 and re.search("training diverged at .*not finite", text), text
    assert "Lower the learning rate" in text and "Last images: " in text
    assert not params(tmp_path).exists()


def test_files_of_weights_that_do_not_fit(trained, tmp_path, run):
    path = tmp_path / "FCOS_own.pth"
    weights.write(str(path), weights.read(str(params(trained))))
    tested = ["--test_weight", *words(trained, **{"MODEL.WEIGHT": path})]
    code, text = run(tested, run_test)
    assert code == 0 and "testing 3/3" in text, text
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    code, text = run(tested, run_test)
    assert code == 1 and "FCOS_own.pth: " in text and "Traceback" not in text, text
    path.write_bytes(whole)
    more = write_set(tmp_path / "more", names=("cat", "dog", "cow"))
    code, text = run(["--test_weight", *words(more, **{"MODEL.WEIGHT": path})], run_test)
    assert code == 1 and "checkpoint has 2 classes, config has 3" in text, text
    fine = {"MODEL.WEIGHT": path, "MODEL.LEAVE_OUT": "['rpn.head.cls_logits_*']"}
    code, text = run(words(more, **fine), train)
    assert code == 0 and "2 as the original begins" in text, text


def test_two_devices_find_what_one_finds(trained, run):
    one = run(["--ignore_cache", *words(trained)], run_test)
    scores = (trained / "out" / "coco_own_fcos" / "own" / "scores.json").read_text()
    two = run(["--ignore_cache", *words(trained, **{"RUN.devices": "cpu:2"})], run_test)
    assert one[0] == two[0] == 0
    assert (trained / "out" / "coco_own_fcos" / "own" / "scores.json").read_text() == scores
