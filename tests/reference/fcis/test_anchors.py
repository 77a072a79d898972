"""Anchors against `anchors.npz`."""

import re

import numpy as np
import pytest

from fullconv.lib.rpn.anchors import anchor_grid, generate_anchors


def test_generate_anchors(fcis_reference):
    data = fcis_reference("anchors")
    cases = [key for key in data if "_anchors" in key]
    assert cases
    for key in cases:
        name = key.split("_anchors")[0]
        ratios = data.get(f"{name}_ratios", data["ratios"])
        base = re.search(r"base(\d+)", name)
        anchors = generate_anchors(int(base.group(1)) if base else 16, ratios, data[f"{name}_scales"])
        np.testing.assert_array_equal(anchors, data[key], err_msg=key)


def test_anchor_grid(fcis_reference):
    data = fcis_reference("anchors")
    grids = [key for key in data if "_grid_" in key]
    if not grids:
        pytest.fail("no grid in anchors.npz")
    for key in grids:
        name, height, width = re.fullmatch(r"(\w+)_grid_h(\d+)_w(\d+)", key).groups()
        anchors = data[f"{name}_anchors_float64scales"]
        np.testing.assert_array_equal(anchor_grid(anchors, int(height), int(width), 16), data[key])
