"""The page of results: whole, relative, escaped, sorted, and right about what was found."""

from __future__ import annotations

from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from fullconv.lib.dataset.detection.imdb import make_entry
from fullconv.lib.visualize.gallery import Picture, collect, write_gallery, write_page

CLASSES = ["__background__", "cat", "dog"]
GREY = np.full((60, 80, 3), 128, dtype=np.uint8)


class Page(HTMLParser):
    """Links, and the qualities and names of the figures, in order."""

    def __init__(self, text):
        super().__init__()
        self.links, self.names, self.qualities, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.links += [values[key] for key in ("href", "src") if key in values]
        if tag == "figure":
            self.names.append(values["data-name"])
            self.qualities.append(float(values["data-quality"]))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def results(tmp_path):
    """Three images: both objects found; one of two found and one made up; no object and no detection."""
    roidb, boxes, masks = [], [[[], [], []] for _ in CLASSES], [[[], [], []] for _ in CLASSES]
    objects = np.array([[5, 5, 30, 40], [40, 10, 70, 50]], dtype=np.float32)
    whole = np.zeros((2, 60, 80), dtype=bool)
    whole[0, 5:41, 5:31] = whole[1, 10:51, 40:71] = True
    for i, count in enumerate((2, 2, 0)):
        path = tmp_path / f"{'cab'[i]} <&> {i}.png"
        cv2.imwrite(str(path), GREY)
        labels = np.array([1, 2])[:count]
        cache = str(tmp_path / "masks" / f"{i}.hkl")
        roidb.append(make_entry(str(path), i, (60, 80), objects[:count], labels, cache, lambda: whole))
    ones = np.ones((1, 21, 21), dtype=np.float32)
    for c, i, box, score in ((1, 0, 0, 0.9), (2, 0, 1, 0.8), (1, 1, 0, 0.9), (1, 1, 1, 0.8), (2, 1, 1, 0.3)):
        row = np.array([[*objects[box], score]])
        boxes[c][i] = np.concatenate([np.reshape(boxes[c][i], (-1, 5)), row])
        masks[c][i] = np.concatenate([np.reshape(masks[c][i], (-1, 21, 21)), ones])
    return roidb, boxes, masks


def test_gallery(tmp_path, results):
    roidb, boxes, masks = results
    page = write_gallery(tmp_path / "out", roidb, CLASSES, boxes, masks, thresh=0.7)
    assert page == tmp_path / "out" / "index.html"
    content = Page(page.read_text())
    assert not content.open  # every tag is closed
    assert content.names == ["a <&> 1.png", "b <&> 2.png", "c <&> 0.png"]  # worst first, then by name
    assert content.qualities == [0.5, 1.0, 1.0]
    assert "2 objects, 1 found, 1 false" in page.read_text() and "<&> 1" not in page.read_text()
    for link in content.links:
        picture = cv2.imread(str(page.parent / link))
        assert picture is not None and picture.shape[1] > 160, link


def test_nothing_is_overwritten_when_names_repeat(tmp_path):
    names = ["x/a.jpg", "y/a.jpg", "A.png", "..", "ü?.jpg"]
    page = write_page(tmp_path, (Picture(name, GREY, "") for name in names), "<title>")
    links = set(Page(page.read_text()).links)
    assert len(links) == len(names) == len(list((tmp_path / "images").iterdir()))
    assert "&lt;title&gt;" in page.read_text()


def test_an_empty_page(tmp_path):
    assert "0 pictures" in write_page(tmp_path, [], "nothing").read_text()


def test_collect_sorts_by_score_over_classes(results):
    _, boxes, masks = results
    rows, shapes, labels = collect(1, boxes, masks, 0.0)
    np.testing.assert_array_equal(labels, [1, 1, 2])
    assert (np.diff(rows[:, 4]) <= 0).all() and shapes.shape == (3, 21, 21)
    rows, shapes, labels = collect(2, boxes, masks, 0.0)
    assert rows.shape == (0, 5) and len(shapes) == len(labels) == 0
