"""Jsons as exporters write them: strict reading refuses them, --fix reads what has one reading and says so."""

import copy
import json
import os
import random

import cv2
import numpy as np
import pytest

from fullconv.lib.dataset.registry import detection_set
from fullconv.lib.tools.check import main
from tests.lib.tools.coco_variants import (
    ANNOTATIONS,
    CATEGORIES,
    FIXED,
    GOOD,
    IMAGES,
    RUNS,
    SQUARE,
    H,
    W,
    change,
    every,
    record,
    roboflow_category,
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train").mkdir()
    for name in ("one.png", "two.png"):
        cv2.imwrite(str(tmp_path / "train" / name), np.zeros((H, W, 3), np.uint8))
    return tmp_path


def strict(folder, data):
    """The complaint of the reader, or "" where it takes the file."""
    file = folder / "annotations" / "train.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(data if isinstance(data, str) else json.dumps(data))
    try:
        for entry in detection_set("coco", "train", str(folder / "cache"), str(folder)).entries():
            entry.read_masks()
    except (ValueError, TypeError) as error:
        return str(error)
    finally:
        file.unlink()
    return ""


def fix(folder, data, capsys, name="export.json"):
    """(exit status, the new object, what was printed)."""
    source, out = folder / name, folder / "annotations" / "train.json"
    source.parent.mkdir(exist_ok=True)
    source.write_text(data if isinstance(data, str) else json.dumps(data))
    before = source.read_bytes()
    status = main([str(source), "--fix", str(out), "--root_path", str(folder / "cache")])
    assert source.read_bytes() == before
    return status, json.loads(out.read_text()), capsys.readouterr().out


@pytest.mark.parametrize("name", FIXED)
def test_one_reading(name, folder, capsys):
    apply, complaint, kind, right = FIXED[name]
    data = copy.deepcopy(GOOD)
    if name == "backslashes":
        data["images"] = data["images"][:1]
        data["annotations"] = data["annotations"][:1]
    apply(data)
    found = strict(folder, data)
    assert complaint is None or (complaint in found and bool(complaint) == bool(found)), found
    status, new, printed = fix(folder, data, capsys)
    assert status == 0 and kind in printed, printed
    assert right is None or right(new), new
    assert strict(folder, new) == ""
    if name not in ("null annotations",):
        assert "FCIS: dataset: {dataset: coco" in printed
    again = fix(folder, new, capsys)
    assert again[0] == 0 and "nothing was changed" in again[2] and again[1] == new


def two_categories_of_one_name(data):
    data["categories"].append({"id": 31, "name": "cat"})


def image_id_of_two(data):
    data["images"][1]["id"] = 1
    data["annotations"] = data["annotations"][:1]


UNDECIDED = {
    "sides exchanged": (every(IMAGES, height=W, width=H), ["numbers are exchanged, or the picture was turned"]),
    "another size": (change(IMAGES, height=60, width=80), ["numbers are wrong, or the picture was resized"]),
    "one id, two images": (image_id_of_two, ["one.png and also", "which one?"]),
    "one name, two classes": (two_categories_of_one_name, ["'cat' as category 7: one class or two?"]),
    "no such class": (change(ANNOTATIONS, category_id=8), ["'category_id' is 8, not one of categories"]),
    "no such image": (change(ANNOTATIONS, image_id=8), ["'image_id' is 8, not one of images"]),
    "mask lost": (change(ANNOTATIONS, segmentation=[]), ["either the mask got lost, or it never was drawn"]),
    "only odd": (
        change(ANNOTATIONS, segmentation=[SQUARE[:7]]),
        ["odd count of numbers: one is missing, or one too many"],
    ),
    "four numbers": (change(ANNOTATIONS, segmentation=[5, 5, 10, 10]), ["a box, or a polygon that lost its points?"]),
    "code of a turned mask": (
        change(ANNOTATIONS, 1, segmentation={"size": [W, H], "counts": RUNS}),
        ["either height and width are exchanged there, or the code is of a turned mask"],
    ),
    "code cut off": (change(ANNOTATIONS, 1, segmentation={"size": [H, W], "counts": [30, 60]}), ["counts sum to 90"]),
    "negative box": (change(ANNOTATIONS, bbox=[5, 5, -3, 10]), ["drawn to the left or upwards, or the sign is wrong"]),
    "box of another object": (
        lambda data: data.update(annotations=[record(1, bbox=[25, 16, 12, 12])]),
        ["'bbox' is [25, 16, 12, 12], the mask's box is [5, 5, 10, 10]: either of the two is wrong"],
    ),
    "far outside": (
        change(ANNOTATIONS, segmentation=[[5, 5, 80, 5, 80, 60, 5, 60]]),
        ["either it goes on outside, or it was drawn on a picture of another size"],
    ),
    "crowd 2": (change(ANNOTATIONS, iscrowd=2), ["'iscrowd' is 2: a group (1) or one object (0)?"]),
    "null in a polygon": (change(ANNOTATIONS, segmentation=[[1, 2, None, 4, 5, 6]]), ["has what is no number"]),
    "no image id": (change(IMAGES, id=None), ["has no id that annotations could refer to"]),
    "no file": (change(IMAGES, file_name="gone.png"), ["'gone.png': no such picture is below"]),
    "no name": (change(CATEGORIES, name=None), ["field 'name' is None"]),
}


@pytest.mark.parametrize("name", UNDECIDED)
def test_two_readings(name, folder, capsys):
    apply, texts = UNDECIDED[name]
    data = copy.deepcopy(GOOD)
    apply(data)
    data["annotations"][-1].setdefault("bbox", [5, 5, 10, 10])
    status, new, printed = fix(folder, data, capsys)
    assert status == 1 and all(text in printed for text in texts), printed
    assert "errors, 0 notes left in" in printed and "FCIS" not in printed


def test_a_box_that_is_not_the_masks_is_a_note_among_many_that_are(folder, capsys):
    data = copy.deepcopy(GOOD)
    change(ANNOTATIONS, bbox=[25, 16, 12, 12])(data)
    _, new, printed = fix(folder, data, capsys)
    assert "note: annotation 1: field 'bbox' is [25, 16, 12, 12]" in printed
    assert new["annotations"] == data["annotations"] and "coco, image_set train" in printed


def test_what_was_decided_is_in_the_file_beside_what_was_not(folder, capsys):
    data = copy.deepcopy(GOOD)
    change(ANNOTATIONS, segmentation=SQUARE)(data)
    change(ANNOTATIONS, 2, category_id=8)(data)
    status, new, _ = fix(folder, data, capsys)
    assert (
        status == 1 and new["annotations"][0]["segmentation"] == [SQUARE] and new["annotations"][2]["category_id"] == 8
    )
    assert "category_id" in strict(folder, new)


def test_two_files_of_one_name(folder, capsys):
    for place in ("a", "b"):
        (folder / "x" / place).mkdir(parents=True)
        cv2.imwrite(str(folder / "x" / place / "same.png"), np.zeros((H, W, 3), np.uint8))
    data = copy.deepcopy(GOOD)
    change(IMAGES, file_name="D:\\same.png")(data)
    status, _, printed = fix(folder, data, capsys)
    assert status == 1 and "x/a/same.png or " in printed and "write which one" in printed
    change(IMAGES, file_name="D:\\old\\b\\same.png")(data)
    status, new, _ = fix(folder, data, capsys)
    assert status == 0 and new["images"][0]["file_name"] == "x/b/same.png"


def test_roboflows_layout(folder, capsys):
    data = copy.deepcopy(GOOD)
    roboflow_category(data)
    (folder / "valid").mkdir()
    (folder / "valid" / "one.png").write_bytes((folder / "train" / "one.png").read_bytes())
    (folder / "valid" / "_annotations.coco.json").write_text(json.dumps({**data, "images": [], "annotations": []}))
    status, new, printed = fix(folder, data, capsys, "train/_annotations.coco.json")
    assert status == 0 and new["images"] == GOOD["images"] and len(new["categories"]) == 2
    assert "image_set: train" in printed
    assert main([str(folder), "--image_set", "train", "--root_path", str(folder / "cache")]) == 0, (
        "the clean one is taken"
    )
    capsys.readouterr()
    assert main([str(folder), "--image_set", "valid"]) == 1
    printed = capsys.readouterr().out
    assert f"{folder}/valid/_annotations.coco.json --fix {folder}/annotations/valid.json" in printed


@pytest.mark.parametrize(
    "place, file", [(".", "annotations/t.json"), ("annotations", "t.json"), ("train", "../t.json")]
)
def test_relative_names(folder, capsys, monkeypatch, place, file):
    (folder / "annotations").mkdir()
    monkeypatch.chdir(folder / place)
    with open(file, "w") as source:
        json.dump({**GOOD, "annotations": [record(1, bbox=None)]}, source)
    out = "new.json" if place == "annotations" else os.path.relpath(folder / "annotations" / "new.json")
    assert main([file, "--fix", out, "--root_path", str(folder / "cache")]) == 0
    wanted = {".": ".", "annotations": "..", "train": ".."}[place]
    assert f"dataset_path: {wanted}, image_set: new" in capsys.readouterr().out


def test_a_new_file_elsewhere_below_gets_the_folder(folder, capsys):
    (folder / "export.json").write_text(json.dumps(GOOD))
    assert main([str(folder / "export.json"), "--fix", str(folder / "mine.json"), "--root_path", str(folder)]) == 0
    new = json.loads((folder / "mine.json").read_text())
    assert [one["file_name"] for one in new["images"]] == ["train/one.png", "train/two.png"]
    assert "without the folder that the place of the new json needs" in capsys.readouterr().out


def test_where_the_new_file_may_be(folder, capsys, tmp_path_factory):
    source = folder / "export.json"
    source.write_text(json.dumps(GOOD))
    (folder / "link.json").symlink_to(source)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "train.json"
    for out, text in (
        (source, "is the input: name another file"),
        (folder / "link.json", "is the input: name another file"),
        (elsewhere, "write the new json into the folder of the images, for example as"),
        (folder / "out.txt", "name the file to be written <set>.json"),
    ):
        assert main([str(source), "--fix", str(out)]) == 1
        assert text in capsys.readouterr().out
    assert source.read_text() == json.dumps(GOOD) and not elsewhere.exists() and not (folder / "out.txt").exists()


def test_one_json_at_a_time(folder, capsys):
    for name in ("train", "val"):
        (folder / f"{name}.json").write_text(json.dumps(GOOD))
    assert main([str(folder), "--fix", str(folder / "out.json")]) == 1
    assert "--fix takes one json, here are train, val" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[]", "{", '{"images": 3}', '{"images": [], "annotations": []}'])
def test_no_coco_json(folder, capsys, text):
    (folder / "export.json").write_text(text)
    assert main([str(folder / "export.json"), "--fix", str(folder / "out.json")]) == 1
    assert "export.json: " in capsys.readouterr().out and not (folder / "out.json").exists()


def test_a_full_disk_leaves_nothing(folder, capsys, monkeypatch):
    (folder / "export.json").write_text(json.dumps(GOOD))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        main([str(folder / "export.json"), "--fix", str(folder / "annotations" / "train.json")])
    assert list((folder / "annotations").iterdir()) == []


ANYTHING = [
    None,
    True,
    -1,
    0,
    9,
    1e400,
    float("nan"),
    10**30,
    "",
    "x",
    "7.0",
    [],
    [[]],
    {},
    [None] * 4,
    "\0",
    "C:",
    1.5,
]


def spoil(value, rng):
    """Replaces or removes one part of a nested structure."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.9:
        key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
        if rng.random() < 0.1:
            del value[key]
        else:
            value[key] = spoil(value[key], rng)
        return value
    return copy.deepcopy(rng.choice(ANYTHING))


def test_no_file_is_a_crash_and_what_is_called_clean_loads(folder, capsys):
    rng, clean = random.Random(0), 0
    source, out = folder / "export.json", folder / "annotations" / "train.json"
    for _ in range(400):
        data = copy.deepcopy(GOOD)
        for key in rng.choices(list(data), k=rng.randint(1, 3)):
            data[key] = spoil(data[key], rng)
        source.write_text(json.dumps(data))
        if main([str(source), "--fix", str(out), "--root_path", str(folder / "cache")]) == 0:
            clean += 1
            assert strict(folder, json.loads(out.read_text())) == ""
        capsys.readouterr()
    assert 40 < clean < 300


def test_boxes_alone_stay_boxes_alone(folder, capsys):
    data = copy.deepcopy(GOOD)
    for one in data["annotations"]:
        one.update(segmentation=[], area=None)
    status, new, printed = fix(folder, data, capsys)
    assert status == 0 and [one["area"] for one in new["annotations"]] == [100, 60, 100]
    assert "for detection without masks" in printed


def test_changes_are_counted_by_kind(folder, capsys):
    data = copy.deepcopy(GOOD)
    every(ANNOTATIONS, bbox="5 5 10 10")(data)
    data["annotations"] = [{**data["annotations"][0], "id": i, "bbox": "5 5 10 10"} for i in range(12)]
    _, _, printed = fix(folder, data, capsys)
    assert "changed, 12 times: bbox as text or in a second list: four numbers (annotation 0, annotation 1" in printed
    assert "annotation 2 and 9 more)" in printed
