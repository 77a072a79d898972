"""An image's annotations: types, mirroring, masks in the frame of the boxes."""

import numpy as np
import pytest

from fullconv.lib.structures.entry import ArrayMasks, Entry

MASKS = np.random.RandomState(0).rand(2, 10, 20) > 0.5


def entry(boxes=((0, 2, 4, 6), (5.5, 0, 19, 9)), classes=(1, 2), masks=None, **more):
    return Entry("a.jpg", 1, 10, 20, np.array(boxes), np.array(classes), masks, **more)


def test_types_and_size():
    one = entry()
    assert one.boxes.dtype == np.float32 and one.classes.dtype == np.int32
    assert one.size == (10, 20) and not one.flipped and one.masks is None
    empty = entry([], [])
    assert empty.boxes.shape == (0, 4) and empty.classes.shape == (0,)


@pytest.mark.parametrize("boxes, classes", [([[0, 1, 2, 3]], [1, 2]), ([[0, 1, 2]], [1]), ([0, 1, 2, 3], [1])])
def test_other_shapes_are_refused(boxes, classes):
    with pytest.raises(ValueError, match=r"a\.jpg: boxes of shape .* classes: need \(n, 4\) and n of them"):
        entry(boxes, classes)


def test_an_entry_cannot_be_changed_and_is_its_own():
    one = entry()
    with pytest.raises(AttributeError):
        one.width = 3
    assert one == one and one != entry() and len({one, entry()}) == 2


def test_mirroring_moves_the_boxes():
    one = entry()
    mirrored = one.mirrored()
    np.testing.assert_array_equal(mirrored.boxes, [[15, 2, 19, 6], [0, 0, 13.5, 9]])
    assert mirrored.boxes.dtype == np.float32 and mirrored.flipped and mirrored.image == one.image
    np.testing.assert_array_equal(one.boxes, entry().boxes)


def test_mirroring_twice_is_the_identity():
    one = entry(np.random.RandomState(0).rand(7, 4) * 9, np.ones(7))
    twice = one.mirrored().mirrored()
    np.testing.assert_allclose(twice.boxes, one.boxes, atol=1e-5)
    assert not twice.flipped


def test_masks_are_in_the_frame_of_the_boxes():
    one = entry(masks=ArrayMasks(MASKS))
    np.testing.assert_array_equal(one.read_masks(), MASKS)
    mirrored = one.mirrored().read_masks()
    np.testing.assert_array_equal(mirrored, MASKS[:, :, ::-1])
    assert mirrored.flags.c_contiguous
    one.read_masks()[:] = False
    np.testing.assert_array_equal(one.read_masks(), MASKS)


def test_without_masks_reading_them_says_what_to_do():
    with pytest.raises(ValueError, match="a.jpg: its data set has boxes without masks: read one with masks"):
        entry().read_masks()


def test_masks_of_another_shape_are_refused():
    for wrong in (MASKS[:1], MASKS[:, :9]):
        with pytest.raises(ValueError, match=r"a\.jpg: masks of shape .*, needed \(2, 10, 20\)"):
            entry(masks=ArrayMasks(wrong)).read_masks()
