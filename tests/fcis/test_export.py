"""FCIS as an exported file: the same detections by any engine, and without MXNet."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest

from fullconv.fcis import assembly, exported, model
from fullconv.fcis import config as fcis_config
from fullconv.fcis.demo import main as demo
from fullconv.fcis.export import main as export
from fullconv.lib.core import checkpoint
from fullconv.lib.core.matching import expected_shapes
from fullconv.lib.engines.network import BF16, Choice, EngineError
from fullconv.lib.experiment import config as base
from fullconv.lib.export.errors import ExportError

ROOT = Path(__file__).resolve().parents[2]
CFG = ROOT / "experiments/fcis/cfgs/resnet_small_shapes_fcis.yaml"
NAMES = {1: "circle", 2: "square", 7: "Dreieck"}
KEYS = ("SCALES", "[(96,160)]", "TEST.RPN_POST_NMS_TOP_N", "40", "TEST.max_per_image", "20")


def load_config(*words):
    return fcis_config.load(str(CFG), base.parse_overrides([*KEYS, *map(str, words)]))


def trained_of(config, seed=0):
    """Random weights that find something: scores that differ from place to place."""
    network, test = assembly.network_spec(config, len(NAMES) + 1), assembly.test_spec(config)
    trained = model.Trained(network, test, assembly.input_spec(config), ({}, {}))
    symbol = model.FCIS(network).test_symbol(test)
    rng, arrays = np.random.RandomState(seed), {}
    for name, shape in expected_shapes(symbol, data=(1, 3, 96, 160), im_info=(1, 3)).items():
        array = rng.randn(*shape) / np.sqrt(max(1, np.prod(shape[1:])))
        array = 1 + 0.2 * np.abs(array) if name.endswith(("gamma", "var")) else array
        arrays[name] = mx.nd.array(array * (0.1 if name.startswith("rpn_bbox") else 1))
    aux = {name: arrays.pop(name) for name in list(arrays) if "moving" in name}
    return trained._replace(params=(arrays, aux))


def picture(height=70, width=90, seed=3):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A checkpoint as training leaves it, and the file that is exported from it."""
    folder = tmp_path_factory.mktemp("fcis")
    config, prefix = load_config(), str(folder / "e2e")
    trained = trained_of(config)
    checkpoint.save_params(prefix, 3, model.FCIS(trained.network).test_symbol(trained.test), *trained.params)
    base.save(config, f"{prefix}-config.yaml")
    (folder / "e2e-classes.txt").write_text("background\n" + "\n".join(NAMES.values()) + "\n")
    assert export([str(folder / "a.onnx"), "--model", prefix]) == 0
    return folder


def assert_same_detections(one, other):
    """Box by box within 0.01 pixel, masks but for what lies at the threshold."""
    assert len(one) == len(other) > 3
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_allclose(one.boxes, other.boxes, atol=0.01)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
    assert (np.abs(one.masks - other.masks) < 1e-2).mean() > 0.999


@pytest.mark.parametrize("rounds", [1, 2])
def test_engines_give_the_test_graphs_outputs(engine, rounds):
    config = load_config("TEST.ITER", rounds)
    trained = trained_of(config)
    mine, other = (trained.in_engine(Choice(name), mx.cpu()) for name in ("mxnet", engine))
    for size in ((96, 160), (101, 75)):
        batch = {
            "data": np.random.RandomState(size[0]).randn(1, 3, *size).astype("float32"),
            "im_info": np.array([[*size, 1.5]], np.float32),
        }
        expected, found = (network.finish(network.start(batch)) for network in (mine, other))
        assert set(expected) == set(found)
        np.testing.assert_allclose(found["rois"], expected["rois"], atol=0.01)
        proposals = (trained.proposals(Choice(name), mx.cpu()) for name in ("mxnet", engine))
        one, two = (network.finish(network.start(batch))["proposals"] for network in proposals)
        np.testing.assert_allclose(two, one, atol=0.01)
        for name in expected:
            assert found[name].shape == expected[name].shape
            np.testing.assert_allclose(found[name], expected[name], atol=0.01 if name == "rois" else 1e-4, err_msg=name)


def test_the_maps_of_a_batch(engine):
    """Two images at once, which the file takes although detection goes one by one."""
    from fullconv.lib.core.exported import exported_in
    from tests.lib.export.helpers import by_mxnet

    network = trained_of(load_config()).exportable({})
    opened = exported_in(network, Choice(engine))
    feed = {"data": np.random.RandomState(0).randn(2, 3, 64, 83).astype("float32")}
    found = opened.finish(opened.start(feed))
    for name, expected in zip(network.outputs, by_mxnet(network.symbol, network.params, feed)):
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-4 * max(1, np.abs(expected).max()))


def test_a_file_detects_what_its_checkpoint_does(engine, files):
    detector, names = exported.load(str(files / "a.onnx"), Choice(engine))
    assert list(names.values()) == list(NAMES.values())
    trained = trained_of(load_config())
    expected = trained.detector(assembly.result_spec(load_config()), Choice(), mx.cpu()).detect(picture())
    assert_same_detections(detector.detect(picture()), expected)


def test_the_demo_takes_the_file_and_writes_the_same(engine, files, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), picture())
    found = []
    for name, options in (("file", ["--engine", engine]), ("checkpoint", []), ("both", ["--engine", engine])):
        source = str(files / ("a.onnx" if name == "file" else "e2e"))
        out = ["--out", str(tmp_path / name), "--json", str(tmp_path / f"{name}.json"), "--thresh", "0.05"]
        assert demo([str(tmp_path / "a.png"), "--model", source, *options, *out]) == 0
        found.append(json.loads((tmp_path / f"{name}.json").read_text()))
    for other in found[1:]:
        assert found[0]["categories"] == other["categories"]
        boxes = [[a["bbox"] for a in f["annotations"]] for f in (found[0], other)]
        np.testing.assert_allclose(*boxes, atol=0.02)
    assert found[0]["annotations"]


def test_it_runs_without_mxnet(engine, files, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), picture())
    words = [
        str(tmp_path / "a.png"),
        "--model",
        str(files / "a.onnx"),
        "--engine",
        engine,
        "--out",
        str(tmp_path / "o"),
    ]
    code = f"""
import sys
sys.modules["mxnet"] = None  # importing it is an ImportError
from fullconv.fcis.demo import main
sys.exit(main({words!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o" / "index.html").is_file()


def test_bf16_finds_much_the_same(files):
    pytest.importorskip("openvino")
    try:
        half, _ = exported.load(str(files / "a.onnx"), Choice("openvino", BF16))
    except EngineError as error:
        pytest.skip(str(error))
    full, _ = exported.load(str(files / "a.onnx"), Choice("openvino"))
    one, other = (detector.detect(picture()) for detector in (full, half))
    assert len(one) and abs(len(one) - len(other)) <= len(one) // 2


def test_what_cannot_be_exported_says_so():
    with pytest.raises(ExportError, match="TEST.CXX_PROPOSAL is true"):
        trained_of(load_config("TEST.CXX_PROPOSAL", "true")).exportable({})


def test_options_that_the_file_would_not_hear_are_refused(files, capsys):
    assert demo(["--model", str(files / "a.onnx"), "--set", "TEST.NMS", "0.5"]) == 2
    assert "--set belongs to checkpoints" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (["out.txt"], "out.txt: the name of an exported model ends in .onnx"),
        (["out.onnx", "--model", "nothing"], "no model: looked for"),
    ],
)
def test_what_the_command_refuses(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert export(words) == 2
    assert message in capsys.readouterr().err
