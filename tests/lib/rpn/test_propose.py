"""Proposals of arrays are the operator's, to the last bit; what does not fit is refused."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.operators.proposal import proposal
from fullconv.lib.rpn.propose import propose

LIMITS = {"stride": 16, "scales": (2.0, 4.0), "ratios": (0.5, 1.0), "pre_nms": 60, "post_nms": 20}


def inputs(n=1, h=5, w=7, seed=0):
    rng = np.random.RandomState(seed)
    prob, deltas = rng.rand(n, 8, h, w), rng.randn(n, 16, h, w) * 0.2
    return [a.astype(np.float32) for a in (prob, deltas, np.tile([16.0 * h, 16.0 * w, 1.0], (n, 1)))]


@pytest.mark.parametrize("n, post_nms, seed", [(1, 20, 0), (2, 20, 3), (1, 100, 7)])
def test_the_operators_rois(n, post_nms, seed):
    arrays = inputs(n, seed=seed)
    found = propose(*arrays, **{**LIMITS, "post_nms": post_nms}, threshold=0.7, min_size=4, seed=seed)
    expected = proposal(
        *map(mx.nd.array, (*arrays, np.full((n, 1), seed))),
        scales=LIMITS["scales"],
        ratios=LIMITS["ratios"],
        rpn_pre_nms_top_n=60,
        rpn_post_nms_top_n=post_nms,
        rpn_min_size=4,
    )
    np.testing.assert_array_equal(found, expected.asnumpy())


def test_shapes_that_do_not_fit():
    prob, deltas, im_info = inputs()
    message = r"propose needs deltas of shape \(1, 16, 5, 7\) for 4 anchors, got \(1, 12, 5, 7\)"
    with pytest.raises(ValueError, match=message):
        propose(prob, deltas[:, :12], im_info, **LIMITS, threshold=0.7, min_size=4)
