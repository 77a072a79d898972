"""Jsons as exporters write them that have one reading, each as a change of a good one, and what is right."""

import copy
import json

import numpy as np
from pycocotools import mask as coco_mask

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
