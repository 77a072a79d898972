"""The real scripts, run as a user runs them, on a few pictures."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.fcn import convert
from fullconv.fcn import test as testing
from fullconv.fcn.config import METHOD
from fullconv.fcn.train_end2end import train
from fullconv.lib.core import checkpoint
from fullconv.lib.dataset.registry import segmentation_set
from fullconv.lib.experiment.command_line import main
from tests.comparing import assert_same_arrays
from tests.methods.cases import FCN

ROOT = Path(__file__).resolve().parents[2]
CFG = ROOT / "experiments/fcn/cfgs/shapes_fcn.yaml"
TRAIN_TEST = ROOT / "experiments/fcn/fcn_end2end_train_test.py"
TEST = ROOT / "experiments/fcn/fcn_end2end_test.py"
STAGES = FCN.networks


def settings(folder, output, *more):
    """A run of seconds: two slim stages of four updates each, on six pictures."""
    keys = {**FCN.keys, "dataset.test_image_set": "val3"}
    words = {"output_path": output, "dataset.dataset_path": f"{folder}/shapes", **keys}
    pairs = [str(word) for pair in words.items() for word in pair]
    return ["--cfg", str(CFG), "--frequent", "2", "--set", *pairs, *map(str, more)]


def script(path, words, **options):
    result = subprocess.run([sys.executable, str(path), *words], capture_output=True, text=True, timeout=300, **options)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


def run_here(monkeypatch, words, *stages):
    """What the scripts do, in this process."""
    monkeypatch.setattr(sys, "argv", ["script", *words])
    main(METHOD, "", *stages)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fcn")


@pytest.fixture(scope="module")
def finished(folder):
    """One uninterrupted run of training and testing."""
    return folder / "a" / CFG.stem, script(TRAIN_TEST, settings(folder, folder / "a"))


def arrays(output, name=STAGES[-1], epoch=2):
    args, _ = checkpoint.load_params(str(Path(output) / CFG.stem / "train6" / name), epoch)
    return {n: a.asnumpy() for n, a in args.items()}


def test_everything_a_run_leaves_behind(finished):
    output, text = finished
    for stage in STAGES:
        names = {path.name for path in (output / "train6").iterdir()}
        endings = ("-0001.params", "-0002.params", "-symbol.json", "-classes.txt", "-config.yaml", "-curves.png")
        assert {f"{stage}{ending}" for ending in endings} <= names
        results = output / "val3" / stage
        names = {path.name for path in results.iterdir()}
        assert {"scores.json", "label.txt", "label_confusion.png", "predictions", "pictures"} <= names
        assert (results / "pictures" / "index.html").is_file() and len(list((results / "predictions").iterdir())) == 3
        scores = json.loads((results / "scores.json").read_text())["tasks"]["label"]
        assert f"{100 * scores['mean IU']:.2f}" in re.search(rf"^{stage} .*$", text, re.M).group()
    records = next((output / "train6").glob("voc-fcn32s*.jsonl")).read_text().splitlines()
    assert len(records) == 2 and {"loss", "PixelAcc", "lr"} <= set(json.loads(records[0]))
    assert "Speed:" in text and "ETA:" in text and re.search(r">>> .* Iteration 4 mean IU 0\.\d+", text)


def test_predictions_are_index_pngs_at_the_original_size(finished, folder):
    shapes = segmentation_set("shapes", "val3", dataset_path=str(folder / "shapes"))
    predictions = finished[0] / "val3" / "voc-fcn16s" / "predictions"
    for path in predictions.iterdir():
        picture = Image.open(path)
        size = shapes.size(shapes.image_ids.index(path.stem))
        assert picture.mode == "P" and picture.size == size[::-1] and np.asarray(picture).max() < 6


def test_each_stage_starts_from_the_one_before(finished):
    """With a rate of next to nothing the second network is the first one's weights and empty skip scores."""
    output, text = finished
    assert "copying score_fr  ->  score_fr 0" in text and "dropping upscore" in text
    config = METHOD.load(str(output / "train6" / "voc-fcn16s-config.yaml"))
    assert config.network.pretrained.endswith("voc-fcn32s-0002.params") and float(config.TRAIN.lr) == 0.001
    coarse, fine = arrays(output.parent, "voc-fcn32s"), arrays(output.parent, "voc-fcn16s")
    near = np.abs(coarse["conv1_1_weight"] - fine["conv1_1_weight"]).max()
    assert 0 < near < 0.1 * np.abs(coarse["conv1_1_weight"]).max()


def test_a_classifier_gives_the_trunk(folder, monkeypatch, capsys):
    words = settings(
        folder,
        folder / "norm",
        "symbol",
        "vgg16-classifier,voc-fcn8s",
        "network.norm",
        "true",
        "network.FIXED_PARAMS",
        "[conv1,conv2_1]",
        "TRAIN.optimizer",
        "muon",
        "TRAIN.crops",
        4,
        "TRAIN.crop_size",
        32,
    )
    run_here(monkeypatch, words, train, testing.test)
    first, second = (arrays(folder / "norm", name) for name in ("vgg16-classifier", "voc-fcn8s"))
    same = {name for name in first if name in second and np.array_equal(first[name], second[name])}
    fixed = {name for name in second if name.startswith(("conv1", "conv2_1"))}
    assert fixed <= same and not {name for name in same - fixed if name.endswith("_weight")}
    assert (second["conv5_3_norm_weight"] != 1).any() and (second["fc6_norm_weight"] != 1).any()
    assert [path.name for path in (folder / "norm" / CFG.stem / "val3").iterdir() if path.is_dir()] == ["voc-fcn8s"]
    run_here(monkeypatch, ["--resume", *words], train)
    assert "vgg16-classifier is finished" in capsys.readouterr().out
    for path in (folder / "norm" / CFG.stem / "train6").glob("vgg16-classifier-0002.*"):
        path.unlink()
    run_here(monkeypatch, ["--resume", *words, "symbol", "vgg16-classifier", "TRAIN.lr", "0.01"], train)
    assert_same_arrays(arrays(folder / "norm", "vgg16-classifier"), first)


def test_resuming_a_finished_stage_goes_on_with_the_next(folder, finished, monkeypatch, capsys):
    words = settings(folder, folder / "half", "symbol", "voc-fcn32s", "TRAIN.lr", "0.01")
    run_here(monkeypatch, words, train)
    both = settings(folder, folder / "half")
    run_here(monkeypatch, [*both[:2], "--resume", *both[2:]], train)
    assert "voc-fcn32s is finished" in capsys.readouterr().out
    assert_same_arrays(arrays(folder / "half"), arrays(folder / "a"))


def test_two_devices_are_one_with_twice_the_batches(folder, monkeypatch):
    more = ["symbol", "voc-fcn32s", "TRAIN.lr", "0.01", "network.dropout", "0"]
    run_here(monkeypatch, [*settings(folder, folder / "two", *more), "--devices", "cpu:2"], train)
    run_here(monkeypatch, settings(folder, folder / "one", *more, "TRAIN.iter_size", 2), train)
    two, one = arrays(folder / "two", "voc-fcn32s"), arrays(folder / "one", "voc-fcn32s")
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_the_loss_can_be_normalised_instead_of_the_rate(folder, monkeypatch):
    """docs/fcn_training.md: P labelled pixels per image make lr, wd of `batch` equal lr P, wd / P of `valid`."""
    shapes = segmentation_set("shapes", "train1", dataset_path=str(folder / "shapes"))
    pixels = int((shapes.read_label(0) != 255).sum())
    more = ["symbol", "voc-fcn32s", "network.dropout", "0", "dataset.image_set", "train1", "TRAIN.momentum", "0.99"]
    summed = [*more, "TRAIN.normalization", "batch", "TRAIN.lr", 1e-8, "TRAIN.wd", 0.5]
    mean = [*more, "TRAIN.normalization", "valid", "TRAIN.lr", 1e-8 * pixels, "TRAIN.wd", 0.5 / pixels]
    found = []
    for name, words in (("summed", summed), ("mean", mean)):
        run_here(monkeypatch, settings(folder, folder / name, *words), train)
        found.append(checkpoint.load_params(str(folder / name / CFG.stem / "train1" / "voc-fcn32s"), 2)[0])
    for name, array in found[0].items():
        scale = float(array.abs().max().asscalar())
        np.testing.assert_allclose(array.asnumpy(), found[1][name].asnumpy(), rtol=0, atol=1e-5 * scale, err_msg=name)


def test_published_weights_are_tested_in_pieces_and_on_two_devices(folder, finished, monkeypatch, capsys):
    output = finished[0]
    net, params = convert.load_exactly("voc-fcn16s", str(output / "train6" / "voc-fcn16s-0002.params"))
    _, weights = convert.export(net, params, str(folder / "released"), 64, 64)
    words = settings(folder, folder / "b", "TEST.weights", weights, "TEST.network", "voc-fcn16s", "TEST.tile", 544)
    run_here(monkeypatch, [*words, "--devices", "cpu:2", "--shuffle"], testing.test)
    assert "voc-fcn32s" not in capsys.readouterr().out
    one, other = (
        json.loads((p / "val3/voc-fcn16s/scores.json").read_text()) for p in (output, folder / "b" / CFG.stem)
    )
    assert one == other


def test_both_tasks_of_sift_flow(reference_dir, tmp_path, monkeypatch, capsys):
    path = reference_dir / "fcn" / "data" / "siftflow"
    data = ["dataset.dataset", "siftflow", "dataset.dataset_path", path, "dataset.image_set", "trainval"]
    more = ["symbol", "siftflow-fcn8s", "TRAIN.lr", "1e-4", "dataset.test_image_set", "test", "TRAIN.max_iter", 2]
    run_here(monkeypatch, settings(tmp_path, tmp_path, *data, *more), testing.check_test_set, train, testing.test)
    text = capsys.readouterr().out
    assert "Train-loss_geo" in text and "Train-PixelAcc_sem" in text
    results = tmp_path / CFG.stem / "test" / "siftflow-fcn8s"
    for task in ("sem", "geo"):
        assert (results / f"{task}_confusion.png").is_file() and list((results / "predictions" / task).iterdir())
        assert (results / "pictures" / task / "index.html").is_file()


@pytest.mark.parametrize("network", ["nyud-fcn32s-color-d", "nyud-fcn32s-color-hha"])
def test_depth_and_hha(reference_dir, tmp_path, monkeypatch, network):
    data = ["dataset.dataset", "nyud", "dataset.dataset_path", reference_dir / "fcn" / "data" / "nyud"]
    more = ["symbol", network, "TRAIN.lr", "1e-4", "dataset.image_set", "trainval", "dataset.test_image_set", "test"]
    words = settings(tmp_path, tmp_path, *data, *more, "TRAIN.max_iter", 2)
    run_here(monkeypatch, words, testing.check_test_set, train, testing.test)
    assert (tmp_path / CFG.stem / "test" / network / "scores.json").is_file()


@pytest.mark.parametrize(
    "words, message",
    [
        (["TRAIN.lrr", "1"], "did you mean TRAIN.lr"),
        (["network.pretrained", "nowhere.caffemodel"], "nowhere.caffemodel: no such file. The network starts from"),
        (["dataset.image_set", "nothing"], "nothing"),
        (["dataset.test_image_set", "nothing"], "nothing"),
        (["symbol", "nyud-fcn32s-hha,voc-fcn16s"], "has no hha|has no .*hha|images data"),
        (["symbol", "siftflow-fcn32s,siftflow-fcn16s"], "has no sem, geo"),
        (["TEST.tile", "100"], "TEST.tile is 100"),
        (["TRAIN.lr", "1e30"], "training diverged at .*voc-fcn32s|training diverged"),
    ],
)
def test_mistakes_end_with_one_clear_message(folder, monkeypatch, capfd, caplog, words, message):
    with pytest.raises(SystemExit) as end:
        run_here(monkeypatch, settings(folder, folder / "mistake", *words), testing.check_test_set, train, testing.test)
    text = caplog.text + "".join(capfd.readouterr())
    assert end.value.code in (1, 2) and re.search(message, text), text[-2000:]
    assert "Traceback" not in text


@pytest.mark.parametrize(
    "option, stage, message",
    [("--resume", train, "nothing to resume from"), ("--shuffle", testing.test, "Train first")],
)
def test_without_a_checkpoint_it_says_what_to_do(folder, monkeypatch, caplog, option, stage, message):
    words = settings(folder, folder / "untrained")
    with pytest.raises(SystemExit):
        run_here(monkeypatch, [*words[:2], option, *words[2:]], stage)
    assert message in caplog.text


def test_scripts_run_from_any_folder(tmp_path):
    for path in (TRAIN_TEST, TEST):
        assert "--cfg" in script(path, ["--help"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""})


def test_damaged_states_of_a_later_stage_do_not_start_it_anew(folder, finished, monkeypatch, caplog):
    copy = folder / "damaged"
    shutil.copytree(folder / "a", copy)
    for epoch in (1, 2):
        path = copy / CFG.stem / "train6" / f"voc-fcn16s-{epoch:04d}.resume"
        path.write_bytes(path.read_bytes()[:1000])
    words = settings(folder, copy)
    with pytest.raises(SystemExit):
        run_here(monkeypatch, [*words[:2], "--resume", *words[2:]], train)
    assert "voc-fcn16s-*.resume: nothing to resume from: those of epochs 1, 2 are damaged" in caplog.text
