"""Mask voting against the plain OpenCV + numpy version."""

import numpy as np
import pytest

from benchmarks.mask_voting import make_rois
from benchmarks.plain_voting import plain_mask_voting
from fullconv.lib.mask.voting import mask_voting

RULES = ("cpu", "gpu")


def assert_same(found, expected):
    for boxes, plain_boxes in zip(found[0], expected[0]):
        np.testing.assert_array_equal(boxes, plain_boxes)
    for masks, plain_masks in zip(found[1], expected[1]):
        np.testing.assert_allclose(masks, plain_masks, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "n, classes, size, most", [(1, 2, 21, 100), (40, 4, 21, 5), (120, 9, 14, 30), (90, 3, 28, 100), (70, 3, 70, 9)]
)
def test_against_plain_version(rule, n, classes, size, most):
    for seed in range(4):
        rois = make_rois(n, classes, 150, 230, objects=5, size=size, seed=seed)
        args = (classes, most, 230, 150)
        assert_same(mask_voting(*rois, *args, rule=rule), plain_mask_voting(*rois, *args, rule=rule))


@pytest.mark.parametrize("rule", RULES)
def test_noise_masks(rule):
    """Masks whose rows cross the threshold many times."""
    masks, boxes, scores = make_rois(60, 4, 120, 160, objects=3)
    masks = np.random.RandomState(5).uniform(0.2, 0.6, masks.shape).astype(np.float32)
    args = (4, 20, 160, 120)
    assert_same(
        mask_voting(masks, boxes, scores, *args, rule=rule), plain_mask_voting(masks, boxes, scores, *args, rule=rule)
    )


@pytest.mark.parametrize("rule", RULES)
def test_no_rois(rule):
    boxes, masks = mask_voting(np.zeros((0, 1, 14, 14)), np.zeros((0, 4)), np.zeros((0, 3)), 3, 100, 50, 40, rule=rule)
    assert [b.shape for b in boxes] == [(0, 5)] * 3 and [m.shape for m in masks] == [(0, 1, 14, 14)] * 3


@pytest.mark.parametrize("rule", RULES)
def test_no_survivors(rule):
    masks, boxes, scores = make_rois(20, 3, 100, 100)
    found = mask_voting(masks, boxes, scores * 1e-6, 3, 100, 100, 100, rule=rule)
    assert not any(len(b) for b in found[0]) and not any(len(m) for m in found[1])


def test_empty_masks_tell_the_rules_apart():
    _, boxes, scores = make_rois(10, 3, 100, 120)
    masks = np.zeros((10, 1, 21, 21), dtype=np.float32)
    assert not any(len(b) for b in mask_voting(masks, boxes, scores, 3, 100, 120, 100, rule="gpu")[0])
    kept = mask_voting(masks, boxes, scores, 3, 100, 120, 100, rule="cpu")[0]
    assert len(kept[1]) and all((b[:, :4] == [60, 50, 60, 50]).all() for b in kept)


def test_more_equal_scores_than_asked_for():
    boxes = np.array(
        [[20 * i, 20 * j, 20 * i + 15, 20 * j + 15] for i in range(10) for j in range(10)], dtype=np.float32
    )
    masks, scores = np.ones((100, 1, 21, 21), dtype=np.float32), np.full((100, 2), 0.5, dtype=np.float32)
    found = mask_voting(masks, boxes, scores, 2, 100, 200, 200, rule="gpu")
    assert len(found[0][1]) == 100
    scores = np.full((100, 4), 0.25, dtype=np.float32)
    assert sum(map(len, mask_voting(masks, boxes, scores, 4, 100, 200, 200, rule="gpu")[0])) == 300


@pytest.mark.parametrize("rule", RULES)
def test_unusable_rois_do_no_harm(rule):
    masks, boxes, scores = make_rois(30, 3, 100, 120)
    clean = mask_voting(masks, boxes, scores, 3, 100, 120, 100, rule=rule)
    bad = np.array(
        [[np.nan, 0, 9, 9], [0, 0, np.inf, 9], [-1e30, -1e30, 1e30, 1e30], [500, 500, 600, 600], [50, 50, 10, 10]]
    )
    poor = np.full((5, 3), 1e-9)
    poor[0] = np.nan
    extra = [np.vstack([a, b]) for a, b in ((masks, np.full((5, 1, 21, 21), np.nan)), (boxes, bad), (scores, poor))]
    found = mask_voting(*extra, 3, 100, 120, 100, rule=rule)
    for boxes_found, boxes_clean in zip(found[0], clean[0]):
        np.testing.assert_array_equal(boxes_found, boxes_clean)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"scores": np.zeros((30, 4))}, "scores"),
        ({"boxes": np.zeros((29, 4))}, "boxes"),
        ({"masks": np.zeros((30, 21, 21))}, "masks"),
        ({"rule": "tpu"}, "tpu"),
        ({"max_per_image": 0}, "max_per_image"),
        ({"im_width": 0}, "0 x 100"),
        ({"binary_thresh": 0.0}, "binary_thresh"),
    ],
)
def test_bad_arguments(change, message):
    masks, boxes, scores = make_rois(30, 3, 100, 120)
    arguments = {"masks": masks, "boxes": boxes, "scores": scores, "num_classes": 3, "max_per_image": 10}
    arguments.update(im_width=120, im_height=100)
    with pytest.raises(ValueError, match=message):
        mask_voting(**{**arguments, **change})


def test_an_image_that_would_fill_the_memory_is_refused():
    masks, boxes, scores = np.ones((2, 1, 3, 3)), np.array([[0, 0, 9e4, 9e4]] * 2), np.ones((2, 2))
    with pytest.raises(ValueError, match="mask_voting on 100000 x 100000 pixels.*: cut the image into tiles, or raise"):
        mask_voting(masks, boxes, scores, 2, 10, 100_000, 100_000)
