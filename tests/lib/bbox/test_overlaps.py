"""Overlaps against a plain reading of the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fullconv.lib.bbox.overlaps import bbox_overlaps

BOXES = arrays(np.float64, st.tuples(st.integers(0, 6), st.just(4)), elements=st.integers(-3, 12).map(lambda v: v / 2))


def plain_iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0]) + 1
    h = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if w <= 0 or h <= 0:
        return 0.0
    area_a, area_b = ((box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b))
    with np.errstate(divide="ignore"):
        return w * h / (area_a + area_b - w * h)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(BOXES, BOXES)
def test_against_definition(boxes, query):
    expected = np.array([[plain_iou(a, b) for b in query] for a in boxes]).reshape(len(boxes), len(query))
    np.testing.assert_array_equal(bbox_overlaps(boxes, query), expected)


def test_types_and_extra_columns():
    gt = np.array([[0, 0, 9, 9, 3]], dtype=np.float32)
    assert bbox_overlaps(gt, np.array([[0, 0, 9, 4]], dtype=np.int32)) == pytest.approx(0.5)


@pytest.mark.parametrize("boxes", [np.zeros(4), np.zeros((2, 3)), np.zeros((1, 2, 4))])
def test_wrong_shape(boxes):
    with pytest.raises(ValueError, match=r"\(n, 4\)"):
        bbox_overlaps(boxes, np.zeros((1, 4)))
    with pytest.raises(ValueError, match="query"):
        bbox_overlaps(np.zeros((1, 4)), boxes)
