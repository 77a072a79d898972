"""Drawing: colours inside masks only, labels inside the image, nothing breaks on odd input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.lib.structures.detections import Detections
from fullconv.lib.visualize.instances import (
    draw_detections,
    draw_instances,
    instance_colors,
    side_by_side,
    with_caption,
)

CLASSES = ["__background__", "cat", "dog"]
GREY = np.full((120, 160, 3), 128, dtype=np.uint8)
DISC = np.hypot(*np.mgrid[-1:1:21j, -1:1:21j]) < 0.8


def changed(picture, original=GREY):
    return (picture != original).any(axis=2)


def test_the_image_is_not_changed_and_nothing_is_drawn_without_detections():
    image = GREY.copy()
    for nothing in (Detections.empty(21), Detections.empty()):
        np.testing.assert_array_equal(draw_detections(image, nothing, CLASSES), image)
    draw_instances(image, np.array([[10, 10, 60, 60]]), ["a"], DISC[None], np.array([0.9]))
    np.testing.assert_array_equal(image, GREY)


def test_colour_lies_inside_the_mask():
    out = draw_detections(GREY, Detections([[40, 40, 120, 100]], [0.9], [1], DISC[None]), CLASSES)
    assert changed(out)[70, 80]  # the middle
    assert not changed(out)[46, 118]  # a corner of the box, outside the disc
    assert not changed(out)[110:, :30].any()


def test_blend_is_the_share_of_the_colour():
    square = np.ones((1, 21, 21))
    box = np.array([[20, 20, 140, 110]])
    for blend in (0.5, 0.8):
        out = draw_instances(GREY, box, ["a"], square, blend=blend)
        expected = 128 + blend * (instance_colors(1)[0].astype(float) - 128)
        np.testing.assert_allclose(out[65, 80], expected, atol=1)


def test_whole_image_masks_and_masks_of_boxes_agree():
    box = np.array([[30, 20, 71, 82]])
    whole = np.zeros((1, 120, 160), dtype=bool)
    whole[0, 20:83, 30:72] = True
    from_whole = draw_instances(GREY, box, ["a"], whole)
    from_box = draw_instances(GREY, box, ["a"], np.ones((1, 21, 21)))
    assert (changed(from_whole) != changed(from_box)).mean() < 0.01


def test_numbers_that_are_none_are_left_out():
    boxes, masks = np.array([[10, 10, 60, 60], [np.nan, 10, 60, 60]]), np.ones((2, 21, 21))
    out = draw_instances(GREY, boxes, ["a", "b"], masks, scores=np.array([np.nan, 0.9]))
    np.testing.assert_array_equal(out, GREY)


def test_boxes_without_masks_leave_their_inside_clear():
    box = np.array([[40, 40, 120, 100]])
    drawn = changed(draw_detections(GREY, Detections(box, [0.9], [1]), CLASSES))
    assert drawn[100, 60:100].all() and drawn[60:100, 40].all() and drawn[60:100, 120].all()  # three sides
    assert not drawn[60:98, 43:118].any()
    np.testing.assert_array_equal(drawn, changed(draw_instances(GREY, box, ["cat"], scores=np.array([0.9]))))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-300, 400), min_size=4, max_size=4),
    st.integers(1, 40),
    st.integers(1, 40),
    st.text(max_size=30),
    st.sampled_from([None, DISC[None].astype(np.float32)]),
)
def test_any_box_on_any_image(box, height, width, label, masks):
    image = np.zeros((height, width, 3), dtype=np.uint8)
    out = draw_instances(image, np.array([box]), [label], masks, np.array([0.5]))
    assert out.shape == image.shape and out.dtype == np.uint8


def test_labels_of_boxes_at_the_border_stay_readable():
    for box in ([0, 0, 30, 30], [130, 0, 159, 30], [0, 90, 30, 119], [130, 90, 159, 119], [-9, -9, 200, 200]):
        out = draw_instances(GREY, np.array([box]), ["zebra"], np.zeros((1, 21, 21)))
        color = instance_colors(1)[0]
        assert (out == color).all(axis=2).sum() > 300  # the chip, whole


def test_colours_are_distinct():
    assert len(np.unique(instance_colors(40), axis=0)) == 40


def test_side_by_side_and_caption():
    pair = side_by_side(GREY, GREY)
    assert pair.shape[0] == with_caption(GREY, "x").shape[0] > 120 and pair.shape[1] > 320
    with pytest.raises(ValueError, match="not of one image"):
        side_by_side(GREY, GREY[:50])


@pytest.mark.parametrize(
    "image, boxes, labels, masks, message",
    [
        (GREY[..., 0], np.zeros((1, 4)), ["a"], None, "need a BGR image"),
        (GREY / 255, np.zeros((1, 4)), ["a"], np.zeros((1, 3, 3)), "need a BGR image"),
        (GREY, np.zeros((2, 4)), ["a"], np.zeros((1, 3, 3)), "2 boxes, 1 labels, 1 masks: need one each"),
        (GREY, np.zeros((2, 4)), ["a"], None, "2 boxes, 1 labels: need one each"),
        (GREY, np.zeros((1, 5)), ["a"], None, r"boxes have shape \(1, 5\), expected \(m, 4\)"),
    ],
)
def test_bad_input(image, boxes, labels, masks, message):
    with pytest.raises(ValueError, match=message):
        draw_instances(image, boxes, labels, masks)
