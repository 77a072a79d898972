"""Overlaps against `bbox_overlaps.npz`."""

import numpy as np

from fullconv.lib.bbox.overlaps import bbox_overlaps


def test_overlaps_are_exact(fcis_reference):
    data = fcis_reference("bbox_overlaps")
    np.testing.assert_array_equal(bbox_overlaps(data["boxes"], data["query"]), data["overlaps"])
