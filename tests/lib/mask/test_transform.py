"""Mask crops, overlap and resizing."""

import numpy as np
import pytest

from fullconv.lib.mask.transform import intersect_box_mask, mask_overlap, resize_masks


def test_crop_is_the_pasted_mask():
    rng = np.random.RandomState(0)
    mask = rng.rand(30, 40)
    box, gt_box = np.array([5, 8, 24, 27]), np.array([10, 2, 33, 20])
    canvas = np.zeros_like(mask)
    canvas[2:21, 10:34] = mask[2:21, 10:34]
    np.testing.assert_array_equal(intersect_box_mask(box, gt_box, mask), canvas[8:28, 5:25])


def test_crop_of_disjoint_boxes_is_zero():
    crop = intersect_box_mask(np.array([0, 0, 3, 3]), np.array([10, 10, 12, 12]), np.ones((20, 20)), mask_size=14)
    assert crop.shape == (14, 14) and not crop.any()


def test_gt_box_outside_its_mask():
    with pytest.raises(ValueError, match="leaves its mask"):
        intersect_box_mask(np.array([0, 0, 3, 3]), np.array([0, 0, 20, 12]), np.ones((20, 20)))


def test_overlap_equals_overlap_of_pasted_masks():
    rng = np.random.RandomState(1)
    for _ in range(50):
        pasted, boxes, masks = [], [], []
        for _ in range(2):
            x1, y1, w, h = rng.randint(0, 12, 2).tolist() + rng.randint(1, 12, 2).tolist()
            masks.append(rng.rand(h, w) > 0.5)
            boxes.append(np.array([x1, y1, x1 + w - 1, y1 + h - 1]))
            pasted.append(np.zeros((30, 30), dtype=bool))
            pasted[-1][y1 : y1 + h, x1 : x1 + w] = masks[-1]
        union = np.logical_or(*pasted).sum()
        expected = np.logical_and(*pasted).sum() / union if union else 0
        assert mask_overlap(*boxes, *masks) == expected


def test_resize_shapes():
    assert resize_masks(np.zeros((0, 5, 6), dtype=bool), (10, 12)).shape == (0, 10, 12)
    resized = resize_masks(np.ones((2, 5, 6), dtype=bool), (10, 12))
    assert resized.dtype == np.float32 and (resized == 1).all()
    with pytest.raises(ValueError, match=r"\(n, h, w\)"):
        resize_masks(np.zeros((5, 6)), (10, 12))
