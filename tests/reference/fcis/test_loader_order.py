"""Aspect-grouped order against recorded runs of the original, its quirk included."""

import re

import numpy as np

from fullconv.lib.core.sampler import aspect_grouped_order


def test_order_of_successive_epochs(fcis_reference):
    recorded = fcis_reference("loader_order")
    cases = [key[: -len("_index")] for key in recorded if key.endswith("_index")]
    assert cases
    for case in cases:
        batch = int(re.match(r"b(\d+)_", case).group(1))
        widths, heights = recorded[f"{case}_wh"].T
        rng = np.random.RandomState(3)
        for epoch, expected in enumerate(recorded[f"{case}_index"]):
            order = aspect_grouped_order(widths, heights, batch, rng, original_quirk=True)
            np.testing.assert_array_equal(order, expected, err_msg=f"{case}, epoch {epoch}")
