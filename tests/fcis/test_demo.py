"""The demo: what it finds on disk, what it says when something is missing, what it leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest
from PIL import Image, ImageOps

from fullconv.fcis import assembly, demo
from fullconv.fcis import config as fcis_config
from fullconv.fcis.model import class_names
from fullconv.fcis.symbols.fcis import FCIS
from fullconv.fcis.tester import Detector
from fullconv.lib.core import checkpoint
from fullconv.lib.dataset.image_files import UsageError, read_upright
from fullconv.lib.experiment import config as base
from fullconv.lib.structures.detections import Detections

ROOT = Path(__file__).resolve().parents[2]
CFG = str(ROOT / "experiments/fcis/cfgs/resnet_small_shapes_fcis.yaml")


def person_in_the_middle(_, image):
    """`Detector.detect` that finds a person in the middle of every image, and a cat with little certainty."""
    height, width = image.shape[:2]
    box = np.array([[width * 0.25, height * 0.25, width * 0.75, height * 0.75]])
    disc = (np.hypot(*np.mgrid[-1:1:21j, -1:1:21j]) < 0.9).astype(np.float32)[None]
    return Detections(np.repeat(box, 2, axis=0), [0.9, 0.45], [1, 2], np.repeat(disc, 2, axis=0))


@pytest.fixture
def model(tmp_path):
    """A small network with random weights, saved as training saves it; its prefix."""
    config = fcis_config.load(CFG)
    symbol = FCIS(assembly.network_spec(config, 3)).test_symbol(assembly.test_spec(config))
    shapes = checkpoint.expected_shapes(symbol, data=(1, 3, 256, 320), im_info=(1, 3))
    rng = np.random.RandomState(0)
    values = {
        name: rng.normal(0, 0.05, shape) if name.endswith("weight") else np.full(shape, float("var" in name))
        for name, shape in shapes.items()
    }
    states = set(symbol.list_auxiliary_states())
    arrays = {name: mx.nd.array(value) for name, value in values.items()}
    prefix = tmp_path / "model" / "e2e"
    prefix.parent.mkdir()
    checkpoint.save_params(
        str(prefix),
        2,
        None,
        {n: a for n, a in arrays.items() if n not in states},
        {n: a for n, a in arrays.items() if n in states},
    )
    Path(f"{prefix}-classes.txt").write_text("__background__\nperson\ncat\n")
    base.save(config, Path(f"{prefix}-config.yaml"))
    return str(prefix)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for k, name in enumerate(["b.png", "a.jpg"]):
        cv2.imwrite(str(folder / name), np.random.RandomState(k).randint(0, 255, (120, 160, 3), np.uint8))
    (folder / "notes.txt").write_text("no image")
    return folder


def run(model, images, tmp_path, *more):
    out = str(tmp_path / "out")
    return demo.main([str(images), "--model", model, "--out", out, "--devices", "cpu", *more])


def test_random_network_end_to_end(model, images, tmp_path, capsys):
    code = run(model, images, tmp_path, "--thresh", "0", "--json", str(tmp_path / "sub" / "d.json"))
    assert code == 0
    content = json.loads((tmp_path / "sub" / "d.json").read_text())
    assert [c["name"] for c in content["categories"]] == ["person", "cat"]
    assert [i["file_name"] for i in content["images"]] == ["a.jpg", "b.png"]
    assert (tmp_path / "out" / "index.html").exists()
    assert len(list((tmp_path / "out" / "images").iterdir())) == 2
    assert "s per image" in capsys.readouterr().out


def test_polygons_thresholds_and_pictures(model, images, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Detector, "detect", person_in_the_middle)
    assert run(model, images, tmp_path, "--json", str(tmp_path / "d.json"), "--polygons") == 0
    annotations = json.loads((tmp_path / "d.json").read_text())["annotations"]
    assert [a["category_id"] for a in annotations] == [1, 1]
    assert all(isinstance(a["segmentation"], list) for a in annotations)
    drawn = cv2.imread(str(tmp_path / "out" / "images" / "b.jpg"))
    original = cv2.imread(str(images / "b.png"))
    assert np.abs(drawn[60, 80].astype(int) - original[60, 80]).max() > 10
    assert "1 person" in capsys.readouterr().out


def test_nothing_found_says_what_was_best(model, images, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Detector, "detect", person_in_the_middle)
    assert run(model, images, tmp_path, "--thresh", "0.95") == 0
    assert "nothing with a score of at least 0.95; the best is person with 0.9: --thresh 0.9" in capsys.readouterr().out


def test_a_film(model, images, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Detector, "detect", person_in_the_middle)
    path, out = tmp_path / "walk.avi", tmp_path / "out"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 120))
    for _ in range(3):
        writer.write(np.zeros((120, 160, 3), np.uint8))
    writer.release()
    words = ["--model", model, "--out", str(out), "--devices", "cpu", "--json", str(tmp_path / "d.json")]
    assert demo.main(["--video", str(path), *words]) == 0
    there, frame = cv2.VideoCapture(str(out / "walk.mp4")).read()
    assert there and frame.shape == (120, 160, 3) and frame[60, 80].max() > 40, "the person is drawn"
    assert len(json.loads((tmp_path / "d.json").read_text())["images"]) == 3


def test_bad_images_are_reported_skipped_and_counted(model, images, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Detector, "detect", person_in_the_middle)
    (images / "zero.jpg").write_bytes(b"")
    (images / "cut.png").write_bytes((images / "b.png").read_bytes()[:900])
    assert run(model, images, tmp_path) == 1
    errors = capsys.readouterr().err
    assert "zero.jpg" in errors and "cut.png" in errors and "2 of 4 images could not be read" in errors
    assert len(list((tmp_path / "out" / "images").iterdir())) == 2


def test_without_a_model_it_says_where_to_get_one(images, tmp_path, capsys):
    assert demo.main([str(images), "--model", str(tmp_path / "none")]) == 2
    message = capsys.readouterr().err
    assert str(tmp_path / "none-0000.params") in message
    assert "get one" in message and "fcis_end2end_train_test.py" in message


def test_another_epoch_names_those_there_are(model, images, tmp_path, capsys):
    assert run(model, images, tmp_path, "--epoch", "7") == 2
    assert "found epochs 2" in capsys.readouterr().err


def test_without_images(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert demo.main(["--model", model, "--devices", "cpu"]) == 2
    assert "no folder demo/" in capsys.readouterr().err
    (tmp_path / "demo").mkdir()
    assert demo.main(["--model", model, "--devices", "cpu"]) == 2
    assert "no image in demo" in capsys.readouterr().err
    assert demo.main(["absent.jpg", "--model", model, "--devices", "cpu"]) == 2
    assert "absent.jpg: no such file" in capsys.readouterr().err


def test_class_names(model, tmp_path, capsys):
    params = {"fcis_cls_seg_bias": np.zeros(98 * 3)}
    assert class_names(model, params) == {1: "person", 2: "cat"}
    with pytest.raises(UsageError, match="names 2 classes besides the background, the model has 4"):
        class_names(model, {"fcis_cls_seg_bias": np.zeros(98 * 5)})
    other = str(tmp_path / "other")
    coco = class_names(other, {"fcis_cls_seg_bias": np.zeros(98 * 81)})
    assert coco[1] == "person" and coco[90] == "toothbrush" and len(coco) == 80
    voc = class_names(other, {"fcis_cls_seg_bias": np.zeros(98 * 21)})
    assert voc[1] == "aeroplane" and voc[20] == "tvmonitor"
    assert class_names(other, params) == {1: "class 1", 2: "class 2"}
    assert "other-classes.txt is absent" in capsys.readouterr().out
    with pytest.raises(UsageError, match="no FCIS model"):
        class_names(other, {})


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright(tmp_path, orientation):
    stored = np.random.RandomState(0).randint(0, 255, (40, 64, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.png"
    Image.fromarray(stored).save(path, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))[..., ::-1]
    np.testing.assert_array_equal(read_upright(path), expected)


def test_runs_as_a_script_from_any_folder(tmp_path):
    command = [sys.executable, str(ROOT / "fcis" / "demo.py"), "--model", "none"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "none-0000.params" in done.stderr and "Traceback" not in done.stderr
