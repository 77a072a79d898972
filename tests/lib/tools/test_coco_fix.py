"""Jsons as exporters write them: strict reading refuses them, --fix reads what has one reading and says so."""

import copy
import json
import os
import random

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from fullconv.lib.dataset.registry import detection_set
from fullconv.lib.tools.check import main

H, W = 30, 40
SQUARE = [5, 5, 15, 5, 15, 15, 5, 15]
RUNS = [30, 60, 1110]  # columns 1 and 2


def record(key, image=1, category=7, segmentation=None, **changes):
    base = {"id": key, "image_id": image, "category_id": category, "iscrowd": 0, "area": 121, "bbox": [5, 5, 10, 10]}
    return {**base, "segmentation": segmentation or [SQUARE], **changes}


GOOD = {
    "images": [
        {"id": 1, "file_name": "one.png", "height": H, "width": W},
        {"id": 9, "file_name": "two.png", "height": H, "width": W},
    ],
    "categories": [{"id": 7, "name": "cat"}, {"id": 30, "name": "dog"}],
    "annotations": [
        record(1),
        record(2, 9, 30, {"size": [H, W], "counts": RUNS}, bbox=[1, 0, 2, 30], area=60),
        record(3, 9),
    ],
}

ANNOTATIONS, IMAGES, CATEGORIES = "annotations", "images", "categories"


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


def change(kind, index=0, remove=(), **fields):
    def apply(data):
        data[kind][index].update(fields)
        for field in remove:
            del data[kind][index][field]

    return apply


def every(kind, **fields):
    def apply(data):
        for one in data[kind]:
            one.update(fields)

    return apply


def texts(data):
    """All numbers in quotes, as tools do that go through XML or spreadsheets."""
    for one in [*data["images"], *data["annotations"], *data["categories"]]:
        for key, value in one.items():
            if isinstance(value, int):
                one[key] = str(value)
        if "bbox" in one:
            one["bbox"] = [str(value) for value in one["bbox"]]


def fractions(data):
    for one in [*data["images"], *data["annotations"], *data["categories"]]:
        for key in one.keys() & {"id", "image_id", "category_id", "height", "width"}:
            one[key] = float(one[key])


def words_as_categories(data):
    for old, new in ((7, "c"), (30, "d")):
        for one in data["categories"]:
            one["id"] = new if one["id"] == old else one["id"]
        for one in data["annotations"]:
            one["category_id"] = new if one["category_id"] == old else one["category_id"]


def roboflow_category(data):
    data["categories"] = [{"id": 0, "name": "pets", "supercategory": "none"}] + [
        {**one, "supercategory": "pets"} for one in data["categories"]
    ]


def image_twice(data):
    data["images"].append(dict(data["images"][0]))


def image_under_two_ids(data):
    data["images"].append({**data["images"][0], "id": 50})
    data["annotations"] += [record(4, 50), record(5, 50, bbox=[5, 5, 10, 11], area=120)]


def annotation_twice(data):
    data["annotations"].append(copy.deepcopy(data["annotations"][0]))


def corners(data):
    for one in data["annotations"]:
        x, y, w, h = one["bbox"]
        one["bbox"] = [x, y, x + w, y + h]


def bytes_of_python(data):
    code = coco_mask.encode(np.asfortranarray(np.ones((H, W)), np.uint8))["counts"]
    data["annotations"][1].update(segmentation={"size": [H, W], "counts": str(code)}, bbox=[0, 0, W, H])


def every_record(data, kind, field, wanted):
    return [one.get(field) for one in data[kind]] == wanted


def annotation(field, wanted, index=0):
    return lambda data: data["annotations"][index][field] == wanted


def image(field, wanted, index=0):
    return lambda data: data["images"][index][field] == wanted


def same(data):
    return all(data[kind] == GOOD[kind] for kind in GOOD)


FIXED = {
    # name: (what the exporter did, words of strict reading's complaint, kind of change, is the result right)
    # No words: strict reading takes it. None: it takes some of the kind, or says so in ways that are its own business.
    "fractions": (fractions, "number them", "id as text or with a fraction", same),
    "text": (texts, "height", "bbox as text", same),
    "image id text": (change(IMAGES, id="1"), "image_id", "image id as text", same),
    "category id text": (change(CATEGORIES, id="7"), "category_id", "category id as text", same),
    "category words": (
        words_as_categories,
        None,  # whether the reader takes words is its own business
        "category id that is a word",
        lambda data: (
            every_record(data, CATEGORIES, "id", [1, 2]) and every_record(data, ANNOTATIONS, "category_id", [1, 2, 1])
        ),
    ),
    "roboflow 0": (
        roboflow_category,
        "",
        "the heading of the others: left out",
        lambda data: every_record(data, CATEGORIES, "id", [7, 30]),
    ),
    "background": (
        lambda data: data["categories"].append({"id": 1, "name": "_background_"}),
        "",
        "the background",
        lambda data: every_record(data, CATEGORIES, "id", [7, 30]),
    ),
    "backslashes": (
        every(IMAGES, file_name="..\\train\\one.png"),
        "without ..",
        "file_name with a folder that is not there",
        None,
    ),
    "slashes": (
        change(IMAGES, file_name="sub\\one.png"),
        "sub",
        "file_name with a folder",
        image("file_name", "one.png"),
    ),
    "drive": (change(IMAGES, file_name="C:\\x\\one.png"), None, "with a drive letter", image("file_name", "one.png")),
    "absolute": (
        change(IMAGES, file_name="/home/a/one.png"),
        None,
        "an absolute folder",
        image("file_name", "one.png"),
    ),
    "capitals": (change(IMAGES, file_name="One.PNG"), "One.PNG", "in other capitals", image("file_name", "one.png")),
    "no annotation id": (
        change(ANNOTATIONS, remove=["id"]),
        "'id' is None",
        "without an id: a new number",
        annotation("id", 4),
    ),
    "annotation id null": (change(ANNOTATIONS, id=None), "'id' is None", "without an id", annotation("id", 4)),
    "annotation id twice": (change(ANNOTATIONS, 1, id=1), "used twice", "id used twice", annotation("id", 4, 1)),
    "annotation twice": (annotation_twice, "used twice", "annotation listed twice: once", same),
    "no size": (change(IMAGES, remove=["height", "width"]), "height", "size missing", same),
    "size null": (change(IMAGES, height=None), "height", "size missing, null", same),
    "size 0": (change(IMAGES, height=0, width=0), "height", "size missing", same),
    "size text": (change(IMAGES, height="30"), "height", "size as text", same),
    "no bbox": (change(ANNOTATIONS, remove=["bbox"]), None, "bbox missing", same),
    "bbox null": (change(ANNOTATIONS, bbox=None), None, "bbox missing, null", same),
    "bbox nulls": (change(ANNOTATIONS, bbox=[5, 5, None, 10]), "bbox", "not four numbers: from the mask", same),
    "bbox of a code": (change(ANNOTATIONS, 1, remove=["bbox"]), None, "from the mask", same),
    "bbox text": (change(ANNOTATIONS, bbox="[5, 5, 10, 10]"), "bbox", "bbox as text", same),
    "bbox words": (change(ANNOTATIONS, bbox="5 5 10 10"), "bbox", "bbox as text", same),
    "bbox twice a list": (change(ANNOTATIONS, bbox=[[5, 5, 10, 10]]), "bbox", "in a second list", same),
    "bbox 0": (every(ANNOTATIONS, bbox=[0, 0, 0, 0]), None, "without width or height: from the mask", same),
    "bbox negative": (change(ANNOTATIONS, bbox=[15, 15, -10, -10]), None, "the mask confirms", same),
    "bbox corners": (corners, None, "bbox as x1, y1, x2, y2", same),
    "no area": (change(ANNOTATIONS, remove=["area"]), "", "area missing", same),
    "area null": (change(ANNOTATIONS, area=None), "area", "area missing, null", same),
    "area text": (change(ANNOTATIONS, area="121"), "area", "area as text", same),
    "area 0": (change(ANNOTATIONS, area=0), "", "not above 0: from the mask", same),
    "flat polygon": (change(ANNOTATIONS, segmentation=SQUARE), "segmentation", "without its outer list", same),
    "points": (
        change(ANNOTATIONS, segmentation=[[[5, 5], [15, 5], [15, 15], [5, 15]]]),
        "polygon",
        "a list of points",
        same,
    ),
    "bare points": (
        change(ANNOTATIONS, segmentation=[[5, 5], [15, 5], [15, 15], [5, 15]]),
        "three points",
        "list of points",
        same,
    ),
    "text polygon": (
        change(ANNOTATIONS, segmentation=[[str(v) for v in SQUARE]]),
        "polygon",
        "coordinates as text",
        same,
    ),
    "json in json": (
        change(ANNOTATIONS, segmentation=json.dumps([SQUARE])),
        "segmentation",
        "segmentation as text",
        same,
    ),
    "odd polygon": (change(ANNOTATIONS, segmentation=[SQUARE, SQUARE[:7]]), "polygon", "left out", same),
    "two points": (change(ANNOTATIONS, segmentation=[SQUARE, [1, 1, 2, 2]]), "", "less than three points", same),
    "outside": (
        change(ANNOTATIONS, segmentation=[[-1, 5, 15, 5, 15, 15, -1, 15]], bbox=[0, 5, 15, 10]),
        "",
        "slightly outside",
        annotation("segmentation", [[0, 5, 15, 5, 15, 15, 0, 15]]),
    ),
    "all crowds": (every(ANNOTATIONS, iscrowd=1), None, "iscrowd 1 in every annotation", same),
    "iscrowd null": (change(ANNOTATIONS, iscrowd=None), "iscrowd", "iscrowd as text, null", same),
    "iscrowd text": (change(ANNOTATIONS, iscrowd="0"), "iscrowd", "iscrowd as text", same),
    "code text": (
        change(ANNOTATIONS, 1, segmentation={"size": [str(H), str(W)], "counts": ["30", "60", "1110"]}),
        "size",
        "numbers of a run-length code",
        same,
    ),
    "code bytes": (
        bytes_of_python,
        "compressed",
        "as Python prints bytes",
        lambda data: data["annotations"][1]["segmentation"]["counts"][:2] != "b'",
    ),
    "code no size": (change(ANNOTATIONS, 1, segmentation={"counts": RUNS}), "size", "code without size", same),
    "image twice": (image_twice, "used twice", "image listed twice: once", same),
    "image under two ids": (
        image_under_two_ids,
        "",
        "listed under two ids",
        lambda data: (
            every_record(data, IMAGES, "id", [1, 9]) and every_record(data, ANNOTATIONS, "image_id", [1, 9, 9, 1])
        ),
    ),
    "category twice": (
        lambda data: data["categories"].append({"id": 7, "name": "cat"}),
        "used twice",
        "category listed twice",
        same,
    ),
    "name number": (
        change(CATEGORIES, name=5),
        "name",
        "category name as a number",
        lambda d: d["categories"][0]["name"] == "5",
    ),
    "null annotations": (
        lambda data: data.update(annotations=None),
        "annotations",
        "",
        lambda d: d["annotations"] == [],
    ),
    "extra keys": (
        lambda data: data.update(info={"by": None}, licenses=[]) or data["annotations"][0].update(color="red"),
        "",
        "nothing was changed",
        lambda data: data["info"] == {"by": None} and data["annotations"][0]["color"] == "red",
    ),
    "nan in an extra key": (
        change(ANNOTATIONS, score=float("nan")),
        "",
        "nothing was changed",
        annotation("score", None),
    ),
}


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
