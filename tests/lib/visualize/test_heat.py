"""lib.visualize.heat: maps as colours, over images, beside each other."""

from __future__ import annotations

import numpy as np
import pytest

from fullconv.lib.visualize.heat import heat, over, tiles


def test_higher_is_brighter():
    picture = heat(np.array([[0.0, 0.5, 1.0, np.nan, 7.0]]), factor=3)
    assert picture.shape == (3, 15, 3) and picture.dtype == np.uint8
    low, middle, high, none, above = picture[0, ::3].astype(int).sum(axis=1)
    assert low < middle < high and none == low and above == high


def test_over_an_image_and_in_rows():
    image = np.full((20, 30, 3), 100, np.uint8)
    assert over(image, np.zeros((2, 3))).shape == image.shape
    sheet = tiles([image, image[:10], image], columns=2)
    assert sheet.shape == (44, 64, 3)
    np.testing.assert_array_equal(sheet[24:44, :30], image)
    assert (sheet[10:20, 34:] == 255).all()
    with pytest.raises(ValueError, match="no picture"):
        tiles([])
