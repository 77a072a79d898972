"""Every operator survives senseless numbers in every input: under AddressSanitizer this shows that none reads or writes
out of bounds. What each then gives is in its own tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.gpu.cases import OPERATORS

VALUES = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, -1, 1e9, 0.5, 2**31, -(2**31), 2**63], np.float32)


def spoiled(array: np.ndarray, share: float, random: np.random.RandomState) -> np.ndarray:
    return np.where(random.rand(*array.shape) < share, random.choice(VALUES, array.shape), array).astype(np.float32)


@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("name", OPERATORS)
def test_every_input_of_every_operator(host: Any, name: str, share: float) -> None:
    case, random = OPERATORS[name], np.random.RandomState(0)
    for which in range(len(case.inputs)):
        inputs = [spoiled(array, share, random) if k == which else array for k, array in enumerate(case.inputs)]
        outputs = host.call(name, inputs, case.attributes)
        assert [array.shape for array in outputs] == host.output_shapes(
            name, [array.shape for array in inputs], case.attributes
        )
        if case.backward:
            gradients = host.call(name, inputs, case.attributes, backward=True)
            assert [array.shape for array in gradients] == [array.shape for array in inputs]


@pytest.mark.parametrize("name, rois", [("fullconv_psroi_pooling", 1), ("fullconv_fcis_head", 2)])
def test_rois_that_are_none(host: Any, name: str, rois: int) -> None:
    """Beyond the image on either side, or of no image: nothing is pooled, and no gradient comes back."""
    case = OPERATORS[name]
    bad = [[0, 500, 500, 600, 600], [0, -90, -90, -40, -40], [2, 0, 0, 9, 9], [-1, 0, 0, 9, 9], [np.nan, 0, 0, 9, 9]]
    inputs = list(case.inputs)
    inputs[rois] = np.array(bad, np.float32)
    outputs = host.call(name, inputs, case.attributes)
    if name == "fullconv_fcis_head":
        cls_prob, bbox_pred, seg_pred = outputs
        np.testing.assert_allclose(cls_prob, 1 / cls_prob.shape[1], rtol=1e-6)
        assert not bbox_pred.any() and (seg_pred == 0.5).all()
    else:
        assert not outputs[0].any()
        assert not host.call(name, inputs, case.attributes, backward=True)[0].any()
