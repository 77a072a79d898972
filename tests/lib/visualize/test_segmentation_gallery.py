"""Label maps over their images: what is coloured, what a page compares."""

import numpy as np

from fullconv.lib.dataset.segmentation.base import SegmentationSet
from fullconv.lib.visualize.segmentation_gallery import add_legend, comparisons, draw_labels, palette_of

NAMES = ["background", "sky", "road"]


def test_colours():
    image = np.full((2, 3, 3), 100, np.uint8)
    labels = np.array([[0, 1, 255], [2, 0, 1]], np.uint8)
    drawn = draw_labels(image, labels, NAMES)
    coloured = (drawn != image).any(axis=2)
    np.testing.assert_array_equal(coloured, [[0, 1, 0], [1, 0, 1]])
    without_background = draw_labels(image, labels, ["sky", "road", "car"])
    assert (without_background[0, 0] != 100).any(), "class 0 has a colour"
    assert not palette_of(NAMES)[0].any() and palette_of(["sky"])[0].any()
    assert not palette_of(["__background__", "sky"])[0].any()
    assert add_legend(drawn, labels, NAMES).shape[1] > 3


class Two(SegmentationSet):
    """Two grey images, half of them sky, a column void."""

    def __init__(self):
        super().__init__("two", ["a", "b"], {"label": NAMES}, {"data": np.zeros(3)})

    def read_input(self, index, name="data"):
        return np.full((6, 8, 3), 100, np.uint8)

    def read_label(self, index, task="label", check=True):
        labels = np.zeros((6, 8), np.uint8)
        labels[:3], labels[:, 0] = 1, 255
        return labels


def test_a_page_compares_labelled_pixels():
    sky = np.ones((6, 8), np.uint8)
    pictures = list(comparisons(Two(), "label", 5, lambda index: sky if index else Two().read_label(0)))
    assert [picture.name for picture in pictures] == ["a.jpg", "b.jpg"]
    assert [picture.quality for picture in pictures] == [1.0, 0.5]
    assert "50.0 % of the labelled pixels are right" in pictures[1].caption
