"""The demo: what it leaves behind, and what it says when something is missing."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest
from PIL import Image

from fullconv.fcn import config as fcn_config
from fullconv.fcn import demo
from fullconv.fcn.convert import export, load_exactly
from fullconv.fcn.model import segmenter
from fullconv.fcn.preprocess import demo_mean
from fullconv.fcn.symbols import build, initial_params
from fullconv.fcn.tester import Segmenter
from fullconv.lib.core import checkpoint
from fullconv.lib.experiment import config as base

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["background", "cat", "dog"]


def weights(name, classes, seed=0):
    net = build(name, classes, width=1 / 16, hidden=8)
    params, rng = initial_params(net), np.random.RandomState(seed)
    for key in params:
        if key.startswith("score"):
            params[key] = rng.randn(*params[key].shape).astype(np.float32)
    return net, params


@pytest.fixture
def model(tmp_path):
    """A small network with random weights, saved as training saves it; its prefix."""
    prefix = tmp_path / "model" / "voc-fcn8s"
    net, params = weights("voc-fcn8s", [3])
    prefix.parent.mkdir()
    checkpoint.save_params(str(prefix), 2, net.test_symbol(), params, {})
    base.save(fcn_config.load(None, ["symbol", "voc-fcn8s", "dataset.dataset", "shapes"]), f"{prefix}-config.yaml")
    Path(f"{prefix}-classes.txt").write_text("\n".join(NAMES) + "\n")
    return str(prefix)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.RandomState(0)
    for name, size in (("a.jpg", (40, 60)), ("b.png", (70, 30))):
        cv2.imwrite(str(folder / name), rng.randint(0, 256, size + (3,)).astype(np.uint8))
    return folder


def test_pictures_labels_and_page(model, images, tmp_path, capsys):
    (images / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    out = tmp_path / "out"
    assert demo.main([str(images), "--model", model, "--out", str(out)]) == 1
    text = capsys.readouterr()
    assert "a.jpg: " in text.out and "1 of 3 images could not be read" in text.err and "broken.png" in text.err
    label = Image.open(out / "labels" / "a.png")
    assert label.mode == "P" and label.size == (60, 40) and np.asarray(label).max() < 3
    assert {p.name for p in (out / "images").iterdir()} == {"a.jpg", "b.jpg"} and (out / "index.html").is_file()
    picture = cv2.imread(str(out / "images" / "a.jpg"))
    assert picture.shape[0] >= 40 and picture.shape[1] > 60  # the legend is beside it


def test_labels_are_the_networks(model, images, tmp_path):
    out = tmp_path / "out"
    demo.main([str(images / "a.jpg"), "--model", f"{model}-0002.params", "--out", str(out)])
    net, params = load_exactly("voc-fcn8s", f"{model}-0002.params")
    image = cv2.imread(str(images / "a.jpg")).astype(np.float64)
    mean = demo_mean("shapes", "color")
    tensor = (image - mean).transpose(2, 0, 1)[None].astype(np.float32)
    mine = segmenter(net, params, mx.cpu())
    np.testing.assert_array_equal(
        np.asarray(Image.open(out / "labels" / "a.png")), mine.segment({"data": tensor})["label"]
    )


def test_published_files_of_two_tasks_and_of_hha(images, tmp_path, capsys):
    net, params = weights("siftflow-fcn32s", [33, 3])
    path = export(net, params, str(tmp_path / "sift"), 32, 32)[1]
    words = [str(images / "a.jpg"), "--model", path, "--out", str(tmp_path / "out")]
    assert demo.main([*words, "--network", "siftflow-fcn32s"]) == 0
    assert (tmp_path / "out/labels/sem/a.png").is_file() and (tmp_path / "out/labels/geo/a.png").is_file()
    assert "classes are numbered" not in capsys.readouterr().out
    net, params = weights("nyud-fcn32s-hha", [5])
    path = export(net, params, str(tmp_path / "hha"), 32, 32)[1]
    words = [str(images / "a.jpg"), "--model", path, "--out", str(tmp_path / "out")]
    assert demo.main([*words, "--network", "nyud-fcn32s-hha"]) == 0
    assert "hha-classes.txt is absent, so classes are numbered; write 5 names" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, message",
    [
        (["{images}", "--model", "absent.caffemodel"], "no model: looked for .*absent.caffemodel"),
        (["{images}", "--model", "absent"], "absent-0000.params"),
        (["nothing.jpg", "--model", "{model}"], "nothing.jpg: no such file"),
        (["{images}", "--model", "{model}", "--network", "voc"], "--network voc: known are voc-fcn32s"),
        (["{images}", "--model", "{model}", "--network", "voc-fcn32s"], "unexpected"),
        (["{images}", "--model", "{model}", "--devices", "tpu"], "tpu"),
        (["{images}", "--model", "{model}", "--tile", "9"], "TEST.tile is 9"),
    ],
)
def test_mistakes_are_one_message(model, images, tmp_path, capsys, words, message):
    cv2.imwrite(str(images / "wide.png"), np.zeros((9, 700, 3), np.uint8))
    words = [word.format(images=images, model=model) for word in words]
    assert demo.main([*words, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("demo: ") and re.search(message, error), error
    assert not (tmp_path / "out").exists()


def test_json_counts_every_pixel_once(model, images, tmp_path):
    file = tmp_path / "new" / "areas.json"
    assert demo.main([str(images), "--model", model, "--out", str(tmp_path / "out"), "--json", str(file)]) == 0
    records = json.loads(file.read_text())
    assert [(r["file"], r["height"], r["width"]) for r in records] == [("a.jpg", 40, 60), ("b.png", 70, 30)]
    for record in records:
        areas = record["pixels"]["label"]
        assert sum(areas.values()) == record["height"] * record["width"] and set(areas) <= set(NAMES)


def test_equal_names_in_two_folders(model, images, tmp_path):
    (images / "more").mkdir()
    (images / "more" / "a.jpg").write_bytes((images / "a.jpg").read_bytes())
    file, out = tmp_path / "areas.json", tmp_path / "out"
    words = [str(images), "--recursive", "--model", model, "--out", str(out), "--json", str(file)]
    assert demo.main(words) == 0
    assert [r["file"] for r in json.loads(file.read_text())] == ["images/a.jpg", "b.png", "more/a.jpg"]
    for folder, ending in (("labels", "png"), ("images", "jpg")):
        assert {p.name for p in (out / folder).iterdir()} == {f"{n}.{ending}" for n in ("images_a", "b", "more_a")}


def test_a_film_is_labelled(model, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "walk.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(3):
        writer.write(np.full((48, 64, 3), 60 * number, np.uint8))
    writer.release()
    file, out = tmp_path / "areas.json", tmp_path / "out"
    words = ["--video", str(tmp_path / "walk.avi"), "--model", model, "--out", str(out), "--json", str(file)]
    assert demo.main(words) == 0
    assert [path.name for path in out.iterdir()] == ["walk.mp4"]
    assert int(cv2.VideoCapture(str(out / "walk.mp4")).get(cv2.CAP_PROP_FRAME_COUNT)) == 3
    records = json.loads(file.read_text())
    assert [r["file"] for r in records] == ["walk-000001", "walk-000002", "walk-000003"]
    assert all(sum(r["pixels"]["label"].values()) == 48 * 64 for r in records)


def test_configuration_can_be_named_and_changed(model, images, tmp_path, capsys):
    words = [str(images / "a.jpg"), "--model", model, "--out", str(tmp_path / "out")]
    assert demo.main([*words, "--set", "TEST.tile", "9"]) == 2
    assert "TEST.tile is 9" in capsys.readouterr().err
    other = tmp_path / "other.yaml"
    other.write_text("symbol: voc-fcn32s\n")
    assert demo.main([*words, "--cfg", str(other)]) == 2
    assert "unexpected" in capsys.readouterr().err


def test_an_interruption_is_one_line(model, images, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Segmenter, "segment", interrupted)
    assert demo.main([str(images), "--model", model, "--out", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err == "demo: interrupted\n"


def test_wrong_class_names_are_refused(model, images, capsys):
    Path(f"{model}-classes.txt").write_text("one\ntwo\n")
    assert demo.main([str(images), "--model", model]) == 2
    assert "names 2 classes, the model scores 3" in capsys.readouterr().err


def test_several_inputs_are_refused(images, tmp_path, capsys):
    net, params = weights("nyud-fcn32s-color-d", [5])
    path = export(net, params, str(tmp_path / "depth"), 32, 32)[1]
    assert demo.main([str(images), "--model", path, "--network", "nyud-fcn32s-color-d"]) == 2
    assert "needs color and depth of one scene" in capsys.readouterr().err


def test_as_a_script(model, images, tmp_path):
    words = [str(images / "a.jpg"), "--model", model, "--out", str(tmp_path / "out")]
    result = subprocess.run(
        [sys.executable, str(ROOT / "fcn" / "demo.py"), *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 0 and "a.jpg" in result.stdout, result.stderr
