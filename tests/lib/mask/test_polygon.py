"""Rasterising of COCO segmentations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from fullconv.lib.mask.polygon import polygons_to_mask, rle_to_mask, segmentation_to_mask

HEIGHT, WIDTH = 14, 17
POINTS = st.lists(
    st.tuples(st.integers(0, 2 * WIDTH - 2).map(lambda v: v / 2), st.integers(0, 2 * HEIGHT - 2).map(lambda v: v / 2)),
    min_size=3,
    max_size=8,
)


def covers(points, x, y):
    """Odd crossings to the right or to the left of the point, or a vertex on it (O'Rourke's test)."""
    right = left = False
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1]):
        if (x0, y0) == (x, y):
            return True
        x0, y0, x1, y1 = x0 - x, y0 - y, x1 - x, y1 - y
        if (y0 > 0) != (y1 > 0):
            right ^= (x0 * y1 - x1 * y0) / (y1 - y0) > 0
        if (y0 < 0) != (y1 < 0):
            left ^= (x0 * y1 - x1 * y0) / (y1 - y0) < 0
    return right or left


@settings(max_examples=150, deadline=None, derandomize=True)
@given(POINTS)
def test_each_pixel_centre(points):
    mask = polygons_to_mask([np.ravel(points)], HEIGHT, WIDTH)
    expected = [[covers(points, x, y) for x in range(WIDTH)] for y in range(HEIGHT)]
    np.testing.assert_array_equal(mask, expected)


def test_parts_are_joined_and_clamped():
    mask = polygons_to_mask([[-5, -5, 3, -5, 3, 3, -5, 3], [10, 8, 99, 8, 99, 99, 10, 99]], 12, 16)
    expected = np.zeros((12, 16), dtype=bool)
    expected[:4, :4] = expected[8:, 10:] = True
    np.testing.assert_array_equal(mask, expected)


def test_run_length_codes():
    mask = np.random.RandomState(0).rand(9, 7) > 0.5
    code = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    changes = np.flatnonzero(np.diff(np.concatenate([[0], mask.T.ravel().astype(int), [-1]])))
    runs = np.diff(np.concatenate([[0], changes])).tolist()
    for counts in (code["counts"], code["counts"].decode("ascii"), runs):
        np.testing.assert_array_equal(segmentation_to_mask({"size": [9, 7], "counts": counts}, 9, 7), mask)


@pytest.mark.parametrize(
    "segmentation, message",
    [
        ([[1, 2, 3]], "two or more points"),
        ([[1, 2]], "two or more points"),
        ([[1, 2, 3, float("nan")]], "not a number"),
        ({"size": [5, 5], "counts": [36]}, "size"),
        ({"size": [6, 6], "counts": [30]}, "add up to 30"),
        (7, "neither polygons"),
    ],
)
def test_damaged_segmentation(segmentation, message):
    with pytest.raises(ValueError, match=message):
        segmentation_to_mask(segmentation, 6, 6)


def test_rle_of_wrong_type_names_its_size():
    with pytest.raises(ValueError, match="None"):
        rle_to_mask({"counts": [36]}, 6, 6)
