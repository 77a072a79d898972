"""FCN as an exported file: the same labels by any engine, whole and in pieces, and without MXNet."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest

from fullconv.fcn import config as fcn_config
from fullconv.fcn import exported
from fullconv.fcn.demo import main as demo
from fullconv.fcn.export import main as export
from fullconv.fcn.model import form_of, segmenter
from fullconv.fcn.symbols import build, initial_params
from fullconv.lib.core import checkpoint
from fullconv.lib.engines.network import Choice
from fullconv.lib.experiment import config as base
from fullconv.lib.export.onnx_format import read_head

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["background", "cat", "dog"]


def weights(name, classes, **options):
    net = build(name, classes, width=1 / 16, hidden=8, **options)
    params, rng = initial_params(net), np.random.RandomState(0)
    for key in params:
        if key.startswith("score"):
            params[key] = rng.randn(*params[key].shape).astype(np.float32)
    return net, params


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A checkpoint as training leaves it, and the file that is exported from it."""
    folder = tmp_path_factory.mktemp("fcn")
    net, params = weights("voc-fcn8s", [3])
    prefix = str(folder / "voc-fcn8s")
    checkpoint.save_params(prefix, 2, net.test_symbol(), params, {})
    base.save(fcn_config.load(None, ["symbol", "voc-fcn8s", "dataset.dataset", "shapes"]), f"{prefix}-config.yaml")
    (folder / "voc-fcn8s-classes.txt").write_text("\n".join(NAMES) + "\n")
    assert export([str(folder / "a.onnx"), "--model", prefix]) == 0
    cv2.imwrite(str(folder / "a.png"), np.random.RandomState(0).randint(0, 256, (40, 60, 3)).astype(np.uint8))
    return folder


def test_the_file_says_what_it_holds(files):
    head = read_head(str(files / "a.onnx"))
    said = {key: json.loads(text) for key, text in head.metadata.items()}
    assert head.inputs == ("data",) and head.outputs == ("label/scores",)
    assert said["fullconv.method"] == "fcn" and said["fullconv.classes"] == {"label": NAMES}
    assert said["fullconv.input"]["kind"] == "color" and len(said["fullconv.input"]["means"]) == 3


@pytest.mark.parametrize("tile", [0, 608])
def test_a_file_labels_what_its_checkpoint_does(engine, files, tile):
    net, params = weights("voc-fcn8s", [3])
    mine, (other, images, classes) = (
        segmenter(net, params, mx.cpu()),
        exported.load(str(files / "a.onnx"), Choice(engine), tile),
    )
    image = np.random.RandomState(1).randint(0, 256, (35, 650 if tile else 70, 3)).astype(np.uint8)
    tensors = images.tensors(image)
    one, two = mine.scores(tensors)["label"], other.scores(tensors)["label"]
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-4 * max(1, np.abs(one).max()))
    assert classes == {"label": NAMES} and (one.argmax(0) == two.argmax(0)).mean() > 0.999


def test_the_demo_without_mxnet(engine, files, tmp_path):
    words = [str(files / "a.png"), "--model", str(files / "a.onnx"), "--out", str(tmp_path / "o"), "--engine", engine]
    code = f"""
import sys
sys.modules["mxnet"] = None  # importing it is an ImportError
from fullconv.fcn.demo import main
sys.exit(main({words!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert demo([str(files / "a.png"), "--model", str(files / "voc-fcn8s"), "--out", str(tmp_path / "p")]) == 0
    one, other = (cv2.imread(str(tmp_path / name / "labels/a.png"), cv2.IMREAD_UNCHANGED) for name in "op")
    assert (one == other).mean() > 0.999


def test_images_below_the_least_size_are_refused(engine):
    """A network with normalisation, which has one."""
    net, params = weights("voc-fcn16s", [3], norm=True)
    found = segmenter(net, params, mx.cpu(), choice=Choice(engine))
    assert form_of(net).least_size == 17
    with pytest.raises(ValueError, match="16x40 pixels .* 17 are the least"):
        found.scores({"data": np.zeros((1, 3, 16, 40), np.float32)})
    assert found.scores({"data": np.zeros((1, 3, 17, 40), np.float32)})["label"].shape == (3, 17, 40)


def test_another_methods_file_and_its_options_are_refused(files, capsys):
    assert demo([str(files / "a.png"), "--model", str(files / "a.onnx"), "--network", "voc-fcn8s"]) == 2
    assert "--network voc-fcn8s belongs to weights" in capsys.readouterr().err
    from fullconv.fcos.exported import load

    with pytest.raises(ValueError, match="a model of fcn, not of fcos"):
        load(str(files / "a.onnx"), Choice("onnxruntime"))


@pytest.mark.parametrize("classes", ['{"label": ["a", 3]}', '{"other": ["a"]}', "[]"])
def test_damaged_class_names_are_refused(engine, files, tmp_path, classes):
    from fullconv.lib.export import onnx_format

    head = read_head(str(files / "a.onnx"))
    metadata = {**head.metadata, "fullconv.classes": classes}
    onnx_format.write(str(tmp_path / "a.onnx"), onnx_format.encode_model("g", "0", [], [], [], [], metadata))
    with pytest.raises(ValueError, match="fullconv.classes must have names for label"):
        exported.load(str(tmp_path / "a.onnx"), Choice(engine))
