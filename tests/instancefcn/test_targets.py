"""Windows and their targets: the rules at their borders, sampling, masks, mirror images."""

from __future__ import annotations

from typing import List, Tuple

import numpy as np
import pytest

from fullconv.instancefcn.targets import NOTHING, WindowRule, assign, object_shares, sample, window_targets

NO_CROWD = np.zeros(9, bool)


def box(cx: float, cy: float, width: float, height: float) -> List[float]:
    return [cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2]


def plain_assign(boxes: np.ndarray, crowd: np.ndarray, shape: Tuple[int, int], rule: WindowRule) -> Tuple:
    """Window by window, object by object."""
    labels, objects = np.zeros(shape, int), np.full(shape, -1)
    for y, x in np.ndindex(*shape):
        found, far = [], True
        for n, (x1, y1, x2, y2) in enumerate(boxes):
            dx, dy = 8 * x + 4 - (x1 + x2) / 2, 8 * y + 4 - (y1 + y2) / 2
            octaves = abs(np.log2(max(x2 - x1, y2 - y1) / rule.canonical))
            distance = max(abs(dx), abs(dy))
            if distance <= rule.shift and octaves <= np.log2(rule.tolerance) and not crowd[n]:
                found.append((np.hypot(dx, dy), octaves, n))
            far &= distance >= rule.negative_shift or octaves >= np.log2(rule.negative_scale)
        labels[y, x] = 1 if found else 0 if far else NOTHING
        objects[y, x] = min(found)[2] if found else -1
    return labels, objects


@pytest.mark.parametrize("rule", [WindowRule(), WindowRule(tolerance=2**0.25), WindowRule(96, 12, 1.5**0.5, 24)])
def test_equals_a_plain_reading(rule: WindowRule) -> None:
    rng = np.random.RandomState(0)
    for _ in range(20):
        n, shape = rng.randint(0, 9), (rng.randint(1, 30), rng.randint(1, 30))
        centres = rng.randint(0, 240, (n, 2)) // 4 * 4  # whole cells apart, so that borders and ties are met
        sides = rng.choice([40, 64, 96, 104, 128, 150, 192, 256], (n, 2))
        boxes = np.concatenate([centres - sides / 2, centres + sides / 2], 1)
        crowd = rng.rand(n) < 0.2
        for found, expected in zip(assign(boxes, crowd, shape, rule), plain_assign(boxes, crowd, shape, rule)):
            np.testing.assert_array_equal(found, expected)


def test_borders_of_the_rule() -> None:
    labels, objects = assign(np.array([box(100, 100, 128, 60)]), NO_CROWD, (25, 25), WindowRule())
    row = labels[12]  # its centres lie at 100, those of columns at 4, 12, ...
    np.testing.assert_array_equal(np.flatnonzero(row == 1) * 8 + 4, [84, 92, 100, 108, 116])  # 16 away is near enough
    np.testing.assert_array_equal(np.flatnonzero(row == NOTHING) * 8 + 4, [76, 124])  # 32 away is far enough
    assert (objects == 0).sum() == (labels == 1).sum() == 25
    for side, positive in ((128 * 1.5**0.5 - 0.1, True), (128 * 1.5**0.5 + 0.1, False), (255, False)):
        labels, _ = assign(np.array([box(100, 100, side, side)]), NO_CROWD, (25, 25), WindowRule())
        assert (labels == 1).any() == positive and (labels == NOTHING).any()
    assert not assign(np.array([box(100, 100, 256, 20)]), NO_CROWD, (25, 25), WindowRule())[0].any()  # twice as large


def test_every_size_is_positive_at_some_scale() -> None:
    """The reason for the default tolerance: between the paper's scales there is no gap, with DeepMask's there is."""
    scales = 600 * 1.5 ** np.arange(-4.0, 2)
    for tolerance, reached in ((1.5**0.5, True), (2**0.25, False)):
        rule = WindowRule(tolerance=tolerance)
        sides = np.geomspace(0.15, 1.2, 60)  # of the short side
        found = [any(_positive(side * scale, rule) for scale in scales) for side in sides]
        assert all(found) == reached


def _positive(side: float, rule: WindowRule) -> bool:
    return bool((assign(np.array([box(100, 100, side, side)]), NO_CROWD, (25, 25), rule)[0] == 1).any())


def test_nearest_object_wins() -> None:
    boxes = np.array([box(100, 100, 128, 128), box(116, 100, 140, 128), box(100, 100, 120, 120)])
    _, objects = assign(boxes, NO_CROWD, (25, 25), WindowRule())
    assert objects[12, 12] == 0 and objects[12, 14] == 1  # of two at one place the one of canonical size
    assert objects[12, 13] == 0  # 8 pixels from the centres of all: the one of canonical size again
    twins = np.array([box(100, 100, 128, 128)] * 2)
    assert (assign(twins, NO_CROWD, (25, 25), WindowRule())[1] < 1).all()


def test_crowd_is_neither() -> None:
    crowd = np.array([True])
    labels, objects = assign(np.array([box(100, 100, 128, 128)]), crowd, (25, 25), WindowRule())
    assert (labels == 1).sum() == 0 and (objects == -1).all() and (labels == NOTHING).sum() == 7 * 7


@pytest.mark.parametrize("boxes", [np.zeros((0, 4)), np.array([[50.0, 50, 50, 90]]) * 0, np.array([[9.0, 9, 8, 8]])])
def test_nothing_to_find_is_background(boxes: np.ndarray) -> None:
    labels, objects = assign(boxes, NO_CROWD, (3, 4), WindowRule())
    assert not labels.any() and (objects == -1).all()


def test_mirrored_boxes_give_mirrored_windows() -> None:
    rng = np.random.RandomState(1)
    low = rng.uniform(0, 200, (6, 2))
    boxes = np.concatenate([low, low + rng.uniform(80, 200, (6, 2))], 1)
    mirrored = boxes.copy()
    mirrored[:, ::2] = 320 - boxes[:, 2::-2]
    for found, expected in zip(*(assign(b, NO_CROWD, (30, 40), WindowRule()) for b in (mirrored, boxes))):
        np.testing.assert_array_equal(found[:, ::-1], expected)


def drawn(positives: int, negatives: int, **changed: object) -> Tuple[int, int]:
    labels = np.full((40, 50), NOTHING, np.int32)
    labels.ravel()[:positives] = 1
    labels.ravel()[positives : positives + negatives] = 0
    before = labels.copy()
    found = sample(labels, WindowRule(**changed), np.random.RandomState(0))
    np.testing.assert_array_equal(labels, before)
    assert (found[found >= 0] == labels[found >= 0]).all()
    return int((found == 1).sum()), int((found == 0).sum())


def test_sampling() -> None:
    assert drawn(500, 1000) == (128, 128)
    assert drawn(20, 1000) == (20, 236)  # filled up with negatives
    assert drawn(20, 1000, fill="strict") == (20, 20)
    assert drawn(0, 1000) == (0, 256) and drawn(0, 1000, fill="strict") == (0, 0)
    assert drawn(20, 30) == (20, 30)  # a small map has no more
    assert drawn(50, 1000, count=64, positive_share=0.25) == (16, 48)
    with pytest.raises(ValueError, match="filled up by 'most': must be one of rpn, strict"):
        drawn(1, 1, fill="most")


def test_sampling_follows_the_generator() -> None:
    labels = np.zeros((40, 50), np.int32)
    one, same, other = (sample(labels, WindowRule(), np.random.RandomState(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_shares_are_means_of_cells() -> None:
    masks = np.random.RandomState(2).rand(3, 45, 61) < 0.5
    shares = object_shares(masks, (45, 61), (6, 8), wanted=[0, 2])
    padded = np.zeros((3, 48, 64))
    padded[:, :45, :61] = masks
    expected = padded.reshape(3, 6, 8, 8, 8).mean((2, 4))
    np.testing.assert_array_equal(shares[[0, 2]], expected[[0, 2]])
    assert not shares[1].any()
    with pytest.raises(ValueError, match="a map of 5 x 8 cells does not cover an input of 45 x 61"):
        object_shares(masks, (45, 61), (5, 8))


def test_masks_are_resized_with_the_image() -> None:
    mask = np.zeros((1, 20, 30), bool)
    mask[0, 5:15, 10:20] = True
    shares = object_shares(mask, (80, 120), (10, 15))
    exact = np.kron(mask[0], np.ones((4, 4))).reshape(10, 8, 15, 8).mean((1, 3))
    np.testing.assert_allclose(shares[0], exact, atol=3 / 64)  # the filter takes some pixels off each corner


def test_half_a_cell_is_object() -> None:
    mask = np.zeros((1, 16, 16), bool)
    mask[0, :8, :4], mask[0, 8:, :] = True, True
    mask[0, 8, 8:] = False
    mask[0, 0, 8:] = True
    shares = object_shares(mask, (16, 16), (2, 2))
    np.testing.assert_array_equal(shares[0], [[0.5, 0.125], [1, 0.875]])
    targets = window_targets(shares, np.array([[0, 0]]), np.array([0]), size=3)
    np.testing.assert_array_equal(targets, [[[-1, -1, -1], [-1, 1, 0], [-1, 1, 1]]])


def test_window_targets_at_corners() -> None:
    shares = np.random.RandomState(3).rand(2, 5, 7).astype(np.float32)
    windows, objects = np.array([[0, 0], [4, 6], [2, 3], [0, 6]]), np.array([1, 0, 1, 0])
    targets = window_targets(shares, windows, objects, thresh=0.4)
    for (cy, cx), n, target in zip(windows, objects, targets):
        for p, q in np.ndindex(21, 21):
            y, x = cy - 10 + p, cx - 10 + q
            inside = 0 <= y < 5 and 0 <= x < 7
            assert target[p, q] == (float(shares[n, y, x] >= 0.4) if inside else NOTHING)
    assert window_targets(shares, np.zeros((0, 2)), np.zeros(0)).shape == (0, 21, 21)
