"""Box regression and filters."""

import numpy as np
import pytest

from fullconv.lib.bbox.fold import fold_bbox_normalization
from fullconv.lib.bbox.transform import clip_boxes, decode_boxes, encode_boxes, filter_boxes, remove_repetition


def random_boxes(rng, n):
    low = rng.uniform(0, 100, (n, 2))
    return np.hstack([low, low + rng.uniform(0, 80, (n, 2))])


def test_decode_inverts_encode():
    rng = np.random.RandomState(0)
    boxes, gt = random_boxes(rng, 50), random_boxes(rng, 50)
    np.testing.assert_allclose(decode_boxes(boxes, encode_boxes(boxes, gt)), gt, atol=1e-9)


def test_decode_of_several_classes():
    rng = np.random.RandomState(1)
    boxes, deltas = random_boxes(rng, 5), rng.normal(0, 0.2, (5, 8))
    expected = np.hstack([decode_boxes(boxes, deltas[:, :4]), decode_boxes(boxes, deltas[:, 4:])])
    np.testing.assert_array_equal(decode_boxes(boxes, deltas), expected)


def test_encode_degenerate_box_is_infinite_not_an_error():
    targets = encode_boxes(np.array([[5.0, 5, 4, 9]]), np.array([[0.0, 0, 9, 9]]))
    assert np.isinf(targets[0, 2]) and np.isfinite(targets[0, [1, 3]]).all()


def test_clip_leaves_its_argument_alone():
    boxes = np.array([[-5.0, -5, 50, 50]], dtype=np.float32)
    clipped = clip_boxes(boxes, (20, 30, 3))
    np.testing.assert_array_equal(clipped, [[0, 0, 29, 19]])
    assert boxes[0, 0] == -5 and clipped.dtype == np.float32


def test_filters():
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 3], [0, 0, 9, 9], [3, 3, 2, 2]], dtype=np.float32)
    np.testing.assert_array_equal(filter_boxes(boxes, 10), [0, 2])
    np.testing.assert_array_equal(remove_repetition(boxes), [0, 1, 3])
    assert filter_boxes(np.zeros((0, 4)), 1).shape == remove_repetition(np.zeros((0, 4))).shape == (0,)


def test_wrong_lengths():
    with pytest.raises(ValueError, match="2 and 3"):
        encode_boxes(np.zeros((2, 4)), np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"\(2, 6\)"):
        decode_boxes(np.zeros((2, 4)), np.zeros((2, 6)))


def test_folded_layer_gives_denormalised_output():
    rng = np.random.RandomState(2)
    weight, bias = rng.rand(24, 3, 1, 1).astype(np.float32), rng.rand(24).astype(np.float32)
    means, stds = rng.rand(8), rng.rand(8)
    folded_weight, folded_bias = fold_bbox_normalization(weight, bias, means, stds)
    x = rng.rand(3).astype(np.float32)
    raw, folded = (w[:, :, 0, 0] @ x + b for w, b in ((weight, bias), (folded_weight, folded_bias)))
    np.testing.assert_allclose(folded, raw * np.repeat(stds, 3) + np.repeat(means, 3), rtol=1e-5)
    with pytest.raises(ValueError, match="multiple"):
        fold_bbox_normalization(weight[:23], bias[:23], means, stds)
