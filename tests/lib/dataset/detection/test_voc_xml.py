"""Boxes from VOC's XML: what is read, what is refused, and how the refusal reads."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fullconv.lib.dataset.detection.voc_xml import VOCXml
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.registry import detection_set
from fullconv.lib.dataset.xml_file import read_xml
from fullconv.lib.evaluation.evaluator import evaluator_for
from fullconv.lib.structures.detections import Detections

BOX = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"
SIZE = "<size><width>40</width><height>30</height></size>"


def thing(name, *sides, extra=""):
    return f"<object><name>{name}</name>{extra}{BOX.format(*sides)}</object>"


CAT_AND_DOG = SIZE + thing("cat", 1, 1, 10, 20) + thing("dog", 5, 5, 60, 30)


def write(folder, body=CAT_AND_DOG, classes=""):
    for name in ("ImageSets/Main", "JPEGImages", "Annotations"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "ImageSets/Main/train.txt").write_text("a\nb  1\n\n")
    for name in "ab":
        cv2.imwrite(str(folder / f"JPEGImages/{name}.png"), np.zeros((30, 40, 3), np.uint8))
        (folder / f"Annotations/{name}.xml").write_text(f"<annotation>{body}</annotation>")
    if classes:
        (folder / "classes.txt").write_text(classes)
    return str(folder)


def test_boxes_classes_and_scores(tmp_path):
    data = detection_set("voc_xml", "train", str(tmp_path), write(tmp_path), masks=False)
    assert data.classes[1:] == ["cat", "dog"]
    entry = data.entries()[0]
    assert entry.size == (30, 40) and entry.image.endswith("a.png") and data.image_ids == ["a", "b"]
    assert entry.boxes.tolist() == [[0, 0, 9, 19], [4, 4, 39, 29]]
    names = [data.classes[number] for number in entry.classes]
    assert names == ["cat", "dog"]
    found = [Detections(e.boxes, np.ones(2), e.classes) for e in data.entries()]
    assert evaluator_for(data, masks=False).evaluate(found, str(tmp_path))["mAP@0.5"] == 1


def test_classes_are_those_of_the_file_else_of_the_annotations(tmp_path):
    body = SIZE + thing("red cell", 1, 1, 9, 9)
    assert VOCXml("train", write(tmp_path / "a", body)).classes[1:] == ["red cell"]
    assert VOCXml("train", write(tmp_path / "b", body, "white\nred cell\n")).classes[1:] == ["white", "red cell"]
    own = tmp_path / "c"
    write(own / "VOC2007")
    assert VOCXml("2007_train", str(own)).num_classes == 21


def test_difficult_objects_are_left_out(tmp_path):
    body = SIZE + thing("cat", 1, 1, 9, 9, extra="<difficult>1</difficult>") + thing("dog", 2, 2, 9, 9)
    entry = VOCXml("train", write(tmp_path, body, "cat\ndog\n")).entries()[0]
    assert entry.classes.tolist() == [2]


def test_boxes_without_area_in_the_image_are_left_out(tmp_path):
    body = SIZE + thing("cat", 50, 1, 60, 9) + thing("cat", 3, 3, 3, 9) + thing("dog", 2, 2, 9, 9)
    entry = VOCXml("train", write(tmp_path, body)).entries()[0]
    assert entry.classes.tolist() == [2] and entry.boxes.tolist() == [[1, 1, 8, 8]]


@pytest.mark.parametrize(
    "body, message",
    [
        (SIZE + thing("cow?", 1, 1, 9, 9), "an object of class 'cow\\?'; known are cat, dog"),
        (SIZE + thing("cat", 1, 1, "x", 9), "bndbox/xmax of object is 'x', no number"),
        (SIZE + thing("cat", 1, 1, "nan", 9), "is 'nan', no number"),
        (SIZE + "<object><name>cat</name></object>", "bndbox/xmin of object is '', no number"),
        (SIZE + thing("cat", 9, 1, 5, 9), "a box of 'cat' ends before it begins"),
        (SIZE.replace("40", "41"), r"the image is \(30, 40\) .* the annotation says \(30, 41\)"),
        (SIZE.replace("40", ""), "size/width of annotation is ''"),
    ],
)
def test_wrong_annotations_are_named(tmp_path, body, message):
    with pytest.raises(DatasetError, match=f"a.xml: .*{message}"):
        VOCXml("train", write(tmp_path, body, "cat\ndog\n")).entries()


def test_missing_files_are_named(tmp_path):
    with pytest.raises(DatasetError, match="image_set 'val': .*val.txt does not exist"):
        VOCXml("val", write(tmp_path))
    (tmp_path / "JPEGImages/b.png").unlink()
    with pytest.raises(DatasetError, match="image b is missing, looked for .*b.jpg"):
        VOCXml("train", str(tmp_path)).entries()
    (tmp_path / "Annotations/a.xml").unlink()
    with pytest.raises(DatasetError, match="a.xml: no such annotation file"):
        VOCXml("train", str(tmp_path)).entries()


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'


@pytest.mark.parametrize(
    "content, message",
    [
        (BOMB.encode(), "a DTD"),
        (BOMB.encode("utf-16"), "a DTD"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "a DTD"),
        (b"<a>" * 40 + b"</a>" * 40, "more than 32 deep"),
        (b"<a>&b;</a>", "not an XML file"),
        (b"<a>", "not an XML file"),
        (b"", "not an XML file"),
        (b"\xff\xd8\xff", "not an XML file"),
        (b'<?xml version="1.0" encoding="nonsense"?><a/>', "not an XML file"),
        (b" " * (1 << 24) + b"<a/>", "too many for the annotation"),
    ],
)
def test_hostile_and_damaged_files_are_refused(tmp_path, content, message):
    path = tmp_path / "a.xml"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=f"a.xml: .*{message}"):
        read_xml(str(path))


def test_a_real_data_set(data_dir):
    data = VOCXml("train", str(data_dir / "bccd" / "BCCD"), limit=20)
    assert set(data.classes[1:]) == {"Platelets", "RBC", "WBC"}
    assert sum(len(entry.boxes) for entry in data.entries()) > 100
