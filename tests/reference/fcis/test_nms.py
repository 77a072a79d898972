"""Suppression against `nms.npz`: the numpy rule and the CUDA rule, with ties and degenerate boxes."""

import re

import numpy as np
import pytest

from fullconv.lib.nms.nms import gpu_nms, nms, py_nms

RULES = {"py": (nms, py_nms), "gpu": (gpu_nms,)}


@pytest.mark.parametrize("rule", sorted(RULES))
def test_kept_indices(fcis_reference, rule):
    data = fcis_reference("nms")
    cases = [re.fullmatch(rf"(\w+)_{rule}_([\d.]+)", key) for key in data]
    cases = [case for case in cases if case]
    assert cases
    for case in cases:
        name, threshold = case.groups()
        for function in RULES[rule]:
            keep = function(data[name], float(threshold))
            np.testing.assert_array_equal(keep, data[case.group()], err_msg=case.group())


def test_no_boxes(fcis_reference):
    expected = fcis_reference("nms")["empty_py"]
    for function in (nms, gpu_nms):
        np.testing.assert_array_equal(function(np.zeros((0, 5), dtype=np.float32), 0.3), expected)
