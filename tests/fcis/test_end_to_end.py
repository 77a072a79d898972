"""The real scripts, run as a user runs them, on a few pictures."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.core import checkpoint
from fullconv.lib.evaluation.class_files import read_class_file
from tests.comparing import assert_same_arrays

ROOT = Path(__file__).resolve().parents[2]
CFG = ROOT / "experiments/fcis/cfgs/resnet_small_shapes_fcis.yaml"
TRAIN_TEST = ROOT / "experiments/fcis/fcis_end2end_train_test.py"
TEST = ROOT / "experiments/fcis/fcis_end2end_test.py"


def settings(folder, output, *more):
    """A run of seconds: 6 pictures and their mirror images, one update per picture."""
    data = ["dataset.dataset_path", f"{folder}/shapes", "dataset.root_path", f"{folder}/data"]
    sets = ["dataset.image_set", "train6", "dataset.test_image_set", "val3"]
    train = ["TRAIN.BATCH_IMAGES", "1", "TRAIN.end_epoch", "2", "TRAIN.lr_step", "1", "TEST.test_epoch", "0"]
    return [
        "--cfg",
        str(CFG),
        "--frequent",
        "4",
        "--set",
        "output_path",
        str(output),
        *data,
        *sets,
        *train,
        *map(str, more),
    ]


def script(path, words, check=True, **options):
    result = subprocess.run([sys.executable, str(path), *words], capture_output=True, text=True, timeout=300, **options)
    if check:
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fcis")


@pytest.fixture(scope="module")
def finished(folder):
    """One uninterrupted run of training and testing."""
    result = script(TRAIN_TEST, settings(folder, folder / "a"))
    return folder / "a" / CFG.stem, result.stdout


def prefix_of(output):
    return str(Path(output) / CFG.stem / "train6" / "e2e")


def arrays(prefix, epoch):
    args, aux = checkpoint.load_params(prefix, epoch)
    return {n: a.asnumpy() for n, a in {**args, **aux}.items()}


def test_everything_a_run_leaves_behind(finished):
    output, text = finished
    train, test = output / "train6", output / "val3"
    names = {path.name for path in train.iterdir()}
    assert {"e2e-0001.params", "e2e-0002.params", "e2e-symbol.json", "e2e-classes.txt", "e2e-config.yaml"} <= names
    assert "e2e-curves.png" in names and any(name.endswith(".log") for name in names)
    records = [json.loads(line) for line in next(train.glob("*.jsonl")).read_text().splitlines()]
    metrics = "RPNAcc RPNLogLoss RPNL1Loss FCISAcc FCISAccFG FCISLogLoss FCISL1Loss FCISMaskLoss".split()
    assert set(metrics) <= set(records[0]) and len(records) == 6
    assert (test / "pictures" / "index.html").is_file()
    assert len(list((test / "pictures" / "images").iterdir())) == 3
    assert "Speed:" in text and "ETA:" in text and "mAP^r" in text
    assert 0 <= json.loads((test / "scores.json").read_text())["mAP^r@0.5"] <= 1
    classes = (train / "e2e-classes.txt").read_text().split()[1:]
    assert {p.name for p in (test / "results").iterdir()} == {f"{c}_{k}.npz" for c in classes for k in ("det", "seg")}
    with np.load(next(test.glob("*_detections.npz"))) as file:
        kept = len(file["boxes"])
    rows = [read_class_file(test / "results", name) for name in classes]
    assert sum(len(boxes) for row in rows for boxes in row.boxes) == kept > 0
    assert rows[0].masks is not None and rows[0].masks[0].shape[1:] == (21, 21)


def test_the_recall_of_the_proposals(folder, finished):
    words = [*settings(folder, folder / "a"), "TEST.PROPOSAL_RECALL", "[20,100]"]
    text = script(TEST, words).stdout
    assert "detections read from" in text, "what is measured besides does not change detections"
    found = json.loads((finished[0] / "val3" / "proposal_recall.json").read_text())
    assert len(found) == 22 and 0 <= found["recall@0.5 of 20"] <= found["recall@0.5 of 100"] <= 1
    assert found["recall@0.5 of 100"] >= found["recall@0.95 of 100"] and found["recall@0.5 of 100"] > 0
    assert re.search(r"recall of the proposals, in percent.*\n *proposals +0.5 ", text)


def test_the_checkpoint_has_the_originals_form(finished):
    args, aux = checkpoint.load_params(str(finished[0] / "train6" / "e2e"), 2)
    stds = np.repeat([0.2, 0.2, 0.5, 0.5] * 2, 49)
    np.testing.assert_allclose(
        args["fcis_bbox_weight_test"].asnumpy(),
        args["fcis_bbox_weight"].asnumpy() * stds[:, None, None, None],
        rtol=1e-5,
    )
    assert args["conv1_weight"].shape[1] == 3 and not any(name in args for name in aux)


def test_the_same_command_gives_the_same_numbers(folder, finished):
    """With MXNet told to use deterministic algorithms alone, too: on a processor it has no others."""
    script(TRAIN_TEST, settings(folder, folder / "b"), env={**os.environ, "MXNET_ENFORCE_DETERMINISM": "1"})
    assert_same_arrays(arrays(prefix_of(folder / "a"), 2), arrays(prefix_of(folder / "b"), 2))
    again = script(TEST, settings(folder, folder / "b")).stdout
    assert "detections read from" in again
    one, other = (folder / name / CFG.stem / "val3" / "scores.json" for name in "ab")
    assert one.read_text() == other.read_text()


def test_one_device_accumulating_equals_two_devices(folder):
    # Devices share the threads, and sums that more threads add up round in another way.
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    two = script(TRAIN_TEST, [*settings(folder, folder / "two"), "--devices", "cpu:2"], env=env)
    one = script(TRAIN_TEST, settings(folder, folder / "one", "TRAIN.grad_accumulate", "2"), env=env)
    assert "2 per update" in two.stdout and "2 per update" in one.stdout
    a, b = arrays(prefix_of(folder / "two"), 1), arrays(prefix_of(folder / "one"), 1)
    for name in a:
        if "_moving_" not in name:  # batch statistics: each device keeps its own
            np.testing.assert_allclose(a[name], b[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--set", "TRAIN.lrr", "1"], "did you mean TRAIN.lr"),
        (["--set", "dataset.NUM_CLASSES", "21"], "NUM_CLASSES is 21 but .* has 6"),
        (["--set", "network.pretrained", "nowhere/net"], "nowhere/net-0000.params: no such file"),
        (["--set", "dataset.image_set", "nothing"], "nothing"),
        (["--devices", "tpu"], "tpu"),
        (["--resume"], "nothing to resume from"),
    ],
)
def test_mistakes_end_with_one_clear_message(folder, words, message):
    result = script(TRAIN_TEST, settings(folder, folder / "mistake") + words, check=False)
    assert result.returncode in (1, 2)
    assert re.search(message, result.stdout + result.stderr), result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_testing_without_a_checkpoint_says_what_to_do(folder):
    result = script(TEST, settings(folder, folder / "untrained"), check=False)
    assert result.returncode == 1 and "Train first" in result.stdout + result.stderr


def test_a_damaged_checkpoint_is_refused(folder, finished):
    words = settings(folder, folder / "damaged", "TRAIN.end_epoch", "1")
    script(TRAIN_TEST, words)
    path = Path(prefix_of(folder / "damaged") + "-0001.params")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    result = script(TEST, words + ["--set", "TEST.test_epoch", "1"], check=False)
    assert result.returncode == 1 and "sha256" in result.stdout + result.stderr


def test_the_picture_of_the_network_is_loadable(finished):
    import fullconv.lib.operators  # noqa: F401 (registers what the file names)

    symbol = mx.sym.load(str(finished[0] / "train6" / "e2e-symbol.json"))
    assert "fcis_cls_seg_weight" in symbol.list_arguments()


def test_scripts_run_from_any_folder(folder, tmp_path):
    result = script(TEST, ["--help"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""})
    assert "--cfg" in result.stdout
