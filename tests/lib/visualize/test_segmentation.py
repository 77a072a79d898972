"""Overlays, legends and confusion pictures."""

import numpy as np
import pytest

from fullconv.lib.dataset.segmentation.palette import make_palette
from fullconv.lib.visualize.confusion import confusion_picture
from fullconv.lib.visualize.segmentation import colorize, legend, overlay


def test_overlay_changes_labelled_pixels_only():
    image = np.full((2, 2, 3), 100, np.uint8)
    labels = np.array([[0, 1], [1, 0]])
    mixed = overlay(image, labels, np.array([[9, 9, 9], [200, 0, 50]], np.uint8))
    assert (mixed[labels == 0] == 100).all() and mixed[0, 1].tolist() == [150, 50, 75]
    with pytest.raises(ValueError, match="one size"):
        overlay(image, labels[:1], make_palette(2))
    with pytest.raises(ValueError, match="palette of 1 colours"):
        colorize(labels, make_palette(1))
    with pytest.raises(ValueError, match="integers"):
        colorize(labels * 0.5, make_palette(2))


def test_legend_shows_the_present_classes_in_their_colours():
    palette = make_palette(4)
    picture = legend(["a", "b", "c", "d"], palette, present=[1, 3, 255])
    assert picture.shape[0] == 2 * 24
    assert picture[12, 20].tolist() == palette[1].tolist() and picture[36, 20].tolist() == palette[3].tolist()
    assert legend(["a"], palette, present=[]).shape[0] == 1


def test_confusion_picture():
    matrix = np.array([[10, 0, 0], [5, 5, 0], [0, 0, 0]])
    picture = confusion_picture(matrix, ["sky", "road", "moon"])
    side = picture.shape[0]
    assert picture.shape == (side, side, 3) and picture.dtype == np.uint8
    corner = side - 8 - 3 * 32
    assert picture[corner + 3, corner + 3].tolist() == [255, 0, 0], "a class always right is fully coloured"
    assert picture[corner + 3, corner + 35].tolist() == [255, 255, 255]
    with pytest.raises(ValueError, match="must be square"):
        confusion_picture(matrix, ["sky"])
