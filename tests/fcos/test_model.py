"""The class for programs, the command that pip installs, and the published models by name."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from fullconv.fcos import command, demo, published
from fullconv.fcos.initial import initial
from fullconv.fcos.model import FCOS
from fullconv.fcos.overlay import label_colour, overlay_boxes, show_bboxes
from fullconv.fcos.symbols.fcos import test_symbol as network_symbol
from fullconv.lib.convert import weights
from fullconv.lib.convert.state_dict import theirs
from fullconv.lib.core.matching import expected_shapes
from fullconv.lib.dataset.image_files import UsageError
from fullconv.lib.evaluation.thresholds import ThresholdError
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.class_file import write_classes

NAMES = ["disc", "triangle", "square", "star", "cross"]
PHOTO = np.random.RandomState(0).randint(0, 255, (90, 70, 3), np.uint8)
ALL = {"MODEL.FCOS.INFERENCE_TH": 0.0, "TEST.DETECTIONS_PER_IMG": 20}


@pytest.fixture(scope="module")
def model(tmp_path_factory, slim, network):
    """A network with random numbers as training leaves it: weights, settings, class names."""
    prefix = tmp_path_factory.mktemp("model") / "net"
    shapes, rng = expected_shapes(network_symbol(network), data=(1, 3, 64, 64)), np.random.RandomState(0)
    arrays = {theirs(name): initial(name, shapes[name], 0.3, rng) for name in sorted(shapes)}
    weights.write(f"{prefix}.pth", arrays)
    base.save({**slim, "INPUT": {**slim.INPUT, "MIN_SIZE_TEST": 64}}, f"{prefix}-config.yaml")
    write_classes(prefix, ["__background__", *NAMES])
    return prefix


@pytest.fixture(scope="module")
def fcos(model):
    return FCOS(f"{model}.pth", nms_thresh=0.6, cpu_only=True, overrides=ALL)


def test_results_are_the_originals(fcos):
    found = fcos.detect(PHOTO, min_confidence=0.0)
    assert found and all(set(f) == {"box", "score", "label_name", "label_id"} for f in found)
    assert [f["score"] for f in found] == sorted((f["score"] for f in found), reverse=True)
    assert all(f["label_name"] == NAMES[f["label_id"] - 1] for f in found)
    boxes = np.array([f["box"] for f in found])
    assert (boxes >= 0).all() and (boxes <= [70, 90, 70, 90]).all()
    assert fcos.config.MODEL.FCOS.NMS_TH == 0.6


def test_least_scores_are_a_number_whole_or_not_or_one_per_class(fcos):
    """The original takes a whole number for a list."""
    found = fcos.detect(PHOTO, 0.0)
    assert fcos.detect(PHOTO, 0) == found and fcos.detect(PHOTO, 1) == []
    middle = found[len(found) // 2]["score"]
    assert fcos.detect(PHOTO, middle) == [f for f in found if f["score"] > middle]
    one = found[0]["label_id"]
    least = [0.0 if label == one else 2.0 for label in range(1, 6)]
    for form in (least, tuple(least), np.array(least)):
        assert fcos.detect(PHOTO, form) == [f for f in found if f["label_id"] == one]
    with pytest.raises(ValueError, match=r"min_confidence has shape \(3,\); the model has 5 classes"):
        fcos.detect(PHOTO, [0.5] * 3)


@pytest.mark.parametrize("image", [PHOTO[..., 0], PHOTO.astype(np.float32), None, np.zeros((4, 4, 4), np.uint8)])
def test_what_is_no_image_is_refused(fcos, image):
    with pytest.raises(ValueError, match="need a BGR image"):
        fcos.detect(image)


def test_thresholds_of_a_test_are_the_least_scores(model, fcos, tmp_path):
    found = fcos.detect(PHOTO, 0.0)
    assert fcos.thresholds.tolist() == [0.5] * 5
    one = found[0]["label_name"]
    scores = tmp_path / "scores.json"
    scores.write_text(json.dumps({"box AP": 0.1, **{f"box threshold/{name}": float(name != one) for name in NAMES}}))
    of_file = FCOS(f"{model}.pth", cpu_only=True, overrides=ALL, thresholds=str(scores))
    assert of_file.detect(PHOTO) == [f for f in found if f["label_name"] == one]
    with pytest.raises(ThresholdError, match="no such file|cannot be read"):
        FCOS(f"{model}.pth", cpu_only=True, thresholds=str(tmp_path / "none.json"))


def test_pictures_are_copies_with_the_originals_colours(fcos, reference_dir):
    found = fcos.detect(PHOTO, 0.0)
    before = PHOTO.copy()
    drawn = fcos.show_bboxes(PHOTO, found)
    assert drawn.shape == PHOTO.shape and (drawn != PHOTO).any() and (before == PHOTO).all()
    assert (show_bboxes(PHOTO, []) == PHOTO).all()
    one = {"box": [10.2, 20.4, 40.0, 60.0], "label_id": 7, "label_name": "x", "score": 0.5}
    assert tuple(overlay_boxes(PHOTO, [one])[20, 25]) == label_colour(7)
    recorded = np.load(reference_dir / "fcos" / "o_thresholds.npz")["colors_bgr_by_label_1_80"]
    assert [label_colour(label) for label in range(1, 81)] == [tuple(colour) for colour in recorded.tolist()]


def test_published_models_by_name(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    listed = FCOS.list_available_models()
    assert len(listed) == 19 and {"fcos_R_50_FPN_1x", "fcos_syncbn_bs32_c128_MNV2_FPN_1x"} <= set(listed)
    assert "FCOS_R_50_FPN_1x.pth (not there)" in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"looked for .*model/FCOS_R_50_FPN_1x.pth.(.|\n)*nothing is fetched"):
        FCOS()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "FCOS_R_50_FPN_1x.pth").write_bytes(b"")
    assert published.settings(published.find("fcos_R_50_FPN_1x")).endswith("cfgs/fcos_R_50_FPN_1x.yaml")


def test_a_file_of_unknown_settings_is_not_guessed(model, tmp_path):
    """Several published networks have the same arrays and read them differently."""
    (tmp_path / "other.pth").write_bytes((model.parent / "net.pth").read_bytes())
    with pytest.raises(UsageError, match="there is no .*other-config.yaml.*name the yaml with --cfg"):
        FCOS(str(tmp_path / "other.pth"))


@pytest.fixture
def run(model, tmp_path, capsys, monkeypatch):
    """run(main, words) in a folder with a photo -> (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("photo.png", PHOTO)

    def program(*words, main=command.main):
        code = main([*map(str, words), "--model", f"{model}.pth", "--devices", "cpu"])
        return (code, *capsys.readouterr())

    return program


SHOWN = ("--thresh", "0", "--set", "MODEL.FCOS.INFERENCE_TH", "0", "TEST.DETECTIONS_PER_IMG", "3")


def test_the_command_prints_the_originals_lines(run, tmp_path):
    code, out, _ = run("photo.png", *SHOWN)
    lines = out.splitlines()
    assert code == 0 and lines[0] == "photo.png:"
    objects = [line for line in lines if "confidence: " in line]
    assert len(objects) >= 3 and len({line.index("confidence") for line in objects}) == 1
    assert all(len(line.split("bbox: ")[1].split()) == 4 for line in objects)
    assert any(line.startswith("Predicted in ") and line.endswith(" seconds.") for line in lines)
    kept = json.loads((tmp_path / "fcos_output" / "detections.json").read_text())
    assert len(kept["annotations"]) == len(objects)
    assert (tmp_path / "fcos_output" / "index.html").is_file()


def test_nothing_found_is_no_failure(run):
    code, out, _ = run("photo.png", "--thresh", "1.5")
    assert code == 0 and "nothing with a score of at least 1.5" in out and "Predicted in" in out


def test_addresses_are_refused(run):
    code, _, errors = run("https://example.org/photo.jpg")
    assert code == 2 and "https://example.org/photo.jpg: an address; nothing is fetched here" in errors


def test_thresholds_of_classes_in_demo_and_command(run, tmp_path):
    (tmp_path / "scores.json").write_text(json.dumps({f"box threshold/{name}": 1.5 for name in NAMES}))
    for main in (command.main, demo.main):
        words = ("photo.png", *SHOWN[2:], "--thresh", tmp_path / "scores.json")
        code, out, _ = run(*words, main=main)
        assert code == 0 and "nothing with a score of at least its class threshold; the best is" in out
    code, _, errors = run("photo.png", "--thresh", "half")
    assert code == 2 and "half: cannot be read as the scores.json of a test" in errors
