"""FCOS as an exported file: the same detections by any engine, and without MXNet."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest

from fullconv.fcos import config as fcos_config
from fullconv.fcos import exported
from fullconv.fcos.demo import main as demo
from fullconv.fcos.export import main as export
from fullconv.fcos.initial import initial
from fullconv.fcos.levels import STRIDES
from fullconv.fcos.model import trained
from fullconv.fcos.symbols.fcos import test_symbol as network_symbol
from fullconv.fcos.test import test as run_test
from fullconv.fcos.train_end2end import train
from fullconv.lib.core import checkpoint
from fullconv.lib.core.matching import expected_shapes
from fullconv.lib.engines.network import Choice
from fullconv.lib.experiment import config as base
from fullconv.lib.export.onnx_format import read_head
from tests.fcos.test_end_to_end import run, words

ROOT = Path(__file__).resolve().parents[2]
CFG = ROOT / "experiments/fcos/cfgs/shapes_fcos.yaml"
NAMES = {1: "circle", 2: "square"}
KEYS = ("INPUT.MIN_SIZE_TEST", "64", "MODEL.FCOS.NUM_CONVS", "1", "MODEL.RESNETS.BACKBONE_OUT_CHANNELS", "32")
KEYS += ("MODEL.FCOS.INFERENCE_TH", "0.3", "TEST.DETECTIONS_PER_IMG", "30")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A checkpoint as training leaves it, with class scores that differ, and the file that is exported from it."""
    from fullconv.fcos import assembly

    folder = tmp_path_factory.mktemp("fcos")
    config, prefix = fcos_config.load(str(CFG), base.parse_overrides(KEYS)), str(folder / "model")
    symbol, rng = network_symbol(assembly.network_spec(config, len(NAMES) + 1)), np.random.RandomState(0)
    params = {}
    for name, shape in sorted(expected_shapes(symbol, data=(1, 3, 64, 96)).items()):
        array = initial(name, shape, 0.3, rng)
        params[name] = array * 8 if "cls_logits_weight" in name else array
    checkpoint.save_params(prefix, 2, symbol, {name: mx.nd.array(array) for name, array in params.items()}, {})
    base.save(config, f"{prefix}-config.yaml")
    (folder / "model-classes.txt").write_text("background\ncircle\nsquare\n")
    assert export([str(folder / "a.onnx"), "--model", prefix]) == 0
    return folder


def picture(height=50, width=90):
    return np.random.RandomState(3).randint(0, 256, (height, width, 3)).astype(np.uint8)


def test_the_file_says_what_it_holds(files):
    head = read_head(str(files / "a.onnx"))
    assert head.inputs == ("data",) and head.outputs == tuple(exported.outputs(STRIDES))
    assert {"P3/logits", "P7/bbox_reg", "P5/centerness"} < set(head.outputs)
    said = {key: json.loads(text) for key, text in head.metadata.items()}
    assert said["fullconv.method"] == "fcos" and said["fullconv.classes"] == {"1": "circle", "2": "square"}
    assert said["fullconv.strides"] == {"P3": 8, "P4": 16, "P5": 32, "P6": 64, "P7": 128}
    config = fcos_config.load(str(CFG), {})
    np.testing.assert_allclose(said["fullconv.input"]["means"], config.INPUT.PIXEL_MEAN)


def test_a_file_detects_what_its_checkpoint_does(engine, files):
    config = fcos_config.load(str(files / "model-config.yaml"), {})
    expected = trained(config, str(files / "model-0002.params"), 3).detector(Choice(), mx.cpu()).detect(picture())
    detector, names = exported.load(str(files / "a.onnx"), Choice(engine))
    found = detector.detect(picture())
    assert names == NAMES and len(found) == len(expected) > 3
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.01)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    np.testing.assert_array_equal(found.labels, expected.labels)


def test_the_demo_without_mxnet(engine, files, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), picture())
    options = [str(tmp_path / "a.png"), "--thresh", "0.3", "--json"]
    code = f"""
import sys
sys.modules["mxnet"] = None  # importing it is an ImportError
from fullconv.fcos.demo import main
more = [{str(tmp_path / "a.json")!r}, "--model", {str(files / "a.onnx")!r}, "--out", {str(tmp_path / "o")!r}]
sys.exit(main({options!r} + more + ["--engine", {engine!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    more = [str(tmp_path / "b.json"), "--model", str(files / "model"), "--out", str(tmp_path / "p")]
    assert demo(options + more) == 0
    one, other = (json.loads((tmp_path / f"{name}.json").read_text()) for name in "ab")
    assert one["categories"] == other["categories"] and one["annotations"]
    np.testing.assert_allclose(*([a["bbox"] for a in found["annotations"]] for found in (one, other)), atol=0.02)


def test_the_test_script_by_an_engine(engine, tmp_path, monkeypatch):
    """--engine of the scripts: the same detections, and none of MXNet's are taken for the engine's."""
    options = words(tmp_path, tmp_path / "out", SOLVER__MAX_ITER="2", MODEL__FCOS__INFERENCE_TH="0.001")
    run(monkeypatch, [train], options)
    found = []
    for more in ([], ["--engine", engine]):
        run(monkeypatch, [run_test], [*options, *more])
        (path,) = (tmp_path / "out").rglob("*_detections.npz")
        with np.load(path) as arrays:
            found.append({key: arrays[key] for key in arrays.files})
    one, other = found
    numeric = [key for key in one if one[key].dtype.kind in "fiu" and key in other]
    assert any(one[key].size > 50 for key in numeric)
    for key in numeric:
        np.testing.assert_allclose(other[key], one[key], rtol=0, atol=0.01, err_msg=key)
    assert any(not np.array_equal(one[key], other[key]) for key in one), "the engine was not asked"


def test_choices_of_the_scripts_are_checked(tmp_path, monkeypatch, capsys):
    options = words(tmp_path, tmp_path / "out")
    for more, message in ((["--engine", "caffe"], "engine 'caffe'"), (["--precision", "bf16"], "only openvino")):
        with pytest.raises(SystemExit):
            run(monkeypatch, [], [*options, *more])
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["fcos_R_50_FPN_1x", "fcos_bn_bs16_MNV2_FPN_1x", "fcos_imprv_dcnv2_X_101_64x4d_FPN_2x"]
)
def test_published_networks_can_be_exported(name):
    """Whole graphs with numbers of width one: that every layer has a rule is what is asked."""
    from fullconv.fcos import assembly
    from fullconv.lib.export.network import Exportable, onnx_model

    config = fcos_config.load(str(CFG.parent / f"{name}.yaml"), {})
    symbol = network_symbol(assembly.network_spec(config, 81))
    shapes = expected_shapes(symbol, data=(1, 3, 64, 64))
    params = {key: np.ones(shape, np.float32) for key, shape in shapes.items()}
    parts = onnx_model(Exportable(symbol, params, {"data": 3}, list(exported.outputs(STRIDES)), {}), name, "0")
    size = sum(map(len, parts)) / 4
    assert size > 0.95 * sum(array.size for array in params.values())
