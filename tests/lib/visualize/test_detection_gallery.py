"""Detections beside the ground truth: right about what was found, with masks and with boxes alone."""

from __future__ import annotations

import dataclasses
import re

import cv2
import numpy as np
import pytest

from fullconv.lib.structures.detections import Detections
from fullconv.lib.structures.entry import ArrayMasks, Entry
from fullconv.lib.visualize.detection_gallery import write_gallery

CLASSES = ["__background__", "cat", "dog"]
GREY = np.full((60, 80, 3), 128, dtype=np.uint8)
OBJECTS = np.array([[5, 5, 30, 40], [40, 10, 70, 50]], dtype=np.float32)


@pytest.fixture
def entries(tmp_path):
    """Three images, with a cat and a dog, the same again, and nothing."""
    whole = np.zeros((2, 60, 80), dtype=bool)
    whole[0, 5:41, 5:31] = whole[1, 10:51, 40:71] = True
    found = []
    for i, count in enumerate((2, 2, 0)):
        path = tmp_path / f"{'cab'[i]} <&> {i}.png"
        cv2.imwrite(str(path), GREY)
        found.append(Entry(str(path), i, 60, 80, OBJECTS[:count], [1, 2][:count], ArrayMasks(whole[:count])))
    return found


@pytest.fixture
def detections():
    """Both objects found; one of two found and one made up, with a dog below the threshold; nothing."""

    def some(rows, scores, labels):
        return Detections(OBJECTS[rows], scores, labels, np.ones((len(rows), 21, 21), np.float32))

    return [some([0, 1], [0.9, 0.8], [1, 2]), some([0, 1, 1], [0.9, 0.8, 0.3], [1, 1, 2]), Detections.empty(21)]


def captions(page):
    """(name, caption, quality) of every figure, in order."""
    figure = r'data-name="([^"]*)" data-quality="([\d.]+)".*?<small>(.*?)</small>'
    return [(name, caption, float(quality)) for name, quality, caption in re.findall(figure, page.read_text(), re.S)]


EXPECTED = [
    ("a &lt;&amp;&gt; 1.png", "2 objects, 1 found, 1 false", 0.5),
    ("b &lt;&amp;&gt; 2.png", "0 objects, 0 found, 0 false", 1.0),
    ("c &lt;&amp;&gt; 0.png", "2 objects, 2 found, 0 false", 1.0),
]


def test_what_was_found_missed_and_made_up(tmp_path, entries, detections):
    page = write_gallery(tmp_path / "out", entries, CLASSES, detections, thresh=0.7)
    assert page == tmp_path / "out" / "index.html"
    assert captions(page) == EXPECTED and "right means mask IoU of at least 0.5" in page.read_text()
    pictures = [cv2.imread(str(path)) for path in (page.parent / "images").iterdir()]
    assert len(pictures) == 3 and all(picture.shape[1] > 160 for picture in pictures)


@pytest.mark.parametrize("without", ["truth", "detections", "both"])
def test_boxes_alone(tmp_path, entries, detections, without):
    """Where either has no masks, boxes are compared; nothing else changes."""
    if without != "detections":
        entries = [dataclasses.replace(entry, masks=None) for entry in entries]
    if without != "truth":
        detections = [dataclasses.replace(found, masks=None) for found in detections]
    page = write_gallery(tmp_path / "out", entries, CLASSES, detections, thresh=0.7)
    assert captions(page) == EXPECTED and "right means box IoU of at least 0.5" in page.read_text()


def test_masks_are_compared_not_the_boxes_around_them(tmp_path, entries, detections):
    """A right box with a mask of a few pixels is no right mask."""
    small = np.zeros((21, 21), np.float32)
    small[:4, :4] = 1
    poor = dataclasses.replace(detections[0], masks=np.stack([small, small]))
    assert captions(write_gallery(tmp_path / "m", entries[:1], CLASSES, [poor]))[0][1] == "2 objects, 0 found, 2 false"
    boxes = dataclasses.replace(poor, masks=None)
    assert captions(write_gallery(tmp_path / "b", entries[:1], CLASSES, [boxes]))[0][1] == "2 objects, 2 found, 0 false"


def test_the_first_images_of_the_results(tmp_path, entries, detections):
    page = write_gallery(tmp_path / "out", entries[:1], CLASSES, detections, thresh=0.7)
    assert captions(page) == EXPECTED[2:]
