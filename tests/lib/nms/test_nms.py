"""The three suppression rules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fullconv.lib.nms.nms import RULES, cpu_nms, gpu_nms, nms, py_nms

CORNERS = arrays(np.float32, st.tuples(st.integers(0, 40), st.just(4)), elements=st.integers(-2, 15))
SETTINGS = settings(max_examples=200, deadline=None, derandomize=True)


def with_scores(corners, seed=0):
    scores = np.random.RandomState(seed).randint(0, 10, (len(corners), 1)) / 10
    return np.hstack([corners, scores]).astype(np.float32)


def plain(dets, threshold, suppress):
    """One box after the other, in float32."""
    keep = []
    one = np.float32(1)
    for i in dets[:, 4].argsort()[::-1]:
        a, dropped = dets[i], False
        for j in keep:
            b = dets[j]
            w = max(min(a[2], b[2]) - max(a[0], b[0]) + one, np.float32(0))
            h = max(min(a[3], b[3]) - max(a[1], b[1]) + one, np.float32(0))
            areas = [(box[2] - box[0] + one) * (box[3] - box[1] + one) for box in (b, a)]
            with np.errstate(all="ignore"):
                dropped = dropped or bool(suppress(w * h / (areas[0] + areas[1] - w * h), np.float32(threshold)))
        if not dropped:
            keep.append(i)
    return np.array(keep, dtype=np.int64)


@SETTINGS
@given(CORNERS, st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.7, 1.0]))
def test_rules_against_plain_loop(corners, threshold):
    dets = with_scores(corners)
    np.testing.assert_array_equal(nms(dets, threshold), py_nms(dets, threshold))
    np.testing.assert_array_equal(nms(dets, threshold), plain(dets, threshold, lambda iou, t: not iou <= t))
    np.testing.assert_array_equal(gpu_nms(dets, threshold), plain(dets, threshold, lambda iou, t: iou > t))
    np.testing.assert_array_equal(cpu_nms(dets, threshold), plain(dets, threshold, lambda iou, t: iou >= t))


@pytest.mark.parametrize("n", [1, 63, 64, 65, 300, 1500])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_boxes(n, dtype):
    rng = np.random.RandomState(n)
    low = rng.uniform(0, 100, (n, 2))
    dets = np.hstack([low, low + rng.uniform(0, 60, (n, 2)), rng.permutation(n)[:, None]]).astype(dtype)
    for threshold in (0.1, 0.3, 0.7):
        expected = py_nms(dets, threshold)
        np.testing.assert_array_equal(nms(dets, threshold), expected)
        np.testing.assert_array_equal(nms(dets, threshold, max_keep=7), expected[:7])


@pytest.mark.parametrize("rule", sorted(RULES))
def test_nothing_and_bad_values(rule):
    suppress = RULES[rule]
    assert suppress(np.zeros((0, 5)), 0.5).shape == (0,)
    assert suppress(np.ones((3, 5)), 0.5, max_keep=0).shape == (0,)
    dets = np.full((4, 5), np.nan)
    dets[0], dets[1, :4] = [0, 0, 9, 9, 1], [np.inf, -np.inf, 5, 5]
    kept = suppress(dets, 0.5)
    if rule == "numpy":  # as there, a box with NaN drops all after it
        np.testing.assert_array_equal(kept, py_nms(dets, 0.5))
    else:
        assert 0 in kept
    with pytest.raises(ValueError, match=r"\(n, 5\)"):
        suppress(np.zeros((3, 4)), 0.5)


def test_input_is_not_changed_and_may_be_strided():
    dets = with_scores(np.random.RandomState(3).randint(0, 30, (50, 4)))
    wide = np.zeros((50, 10), dtype=np.float32)
    wide[:, ::2] = dets
    np.testing.assert_array_equal(nms(wide[:, ::2], 0.4), nms(dets, 0.4))
