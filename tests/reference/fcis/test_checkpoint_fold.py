"""Folded regression weights against `checkpoint_fold.npz`."""

import numpy as np

from fullconv.lib.bbox.fold import fold_bbox_normalization


def test_folded_weights(fcis_reference):
    data = fcis_reference("checkpoint_fold")
    weight, bias = fold_bbox_normalization(data["weight"], data["bias"], data["means"], data["stds"])
    for value, expected in ((weight, data["weight_test"]), (bias, data["bias_test"])):
        assert value.dtype == expected.dtype
        np.testing.assert_array_equal(value, expected)
