"""Window assignment and mask targets against the recorded cases."""

from __future__ import annotations

from typing import Callable, Dict

import numpy as np
import pytest

from fullconv.instancefcn.targets import WindowRule, assign, object_shares, window_targets

TOLERANCES = {"A": 2**0.25, "B": 1.5**0.5}
CASES = ("single", "multi", "border", "crowd", "band", "exact", "empty")


@pytest.fixture()
def case(request: pytest.FixtureRequest, instancefcn_reference: Callable) -> Dict[str, np.ndarray]:
    recorded = instancefcn_reference("assign")
    assert set(recorded["names"]) == set(CASES)
    prefix = f"{request.param}_"
    return {key[len(prefix) :]: value for key, value in recorded.items() if key.startswith(prefix)}


@pytest.mark.parametrize("variant", TOLERANCES)
@pytest.mark.parametrize("case", CASES, indirect=True)
def test_assignment(case: Dict[str, np.ndarray], variant: str) -> None:
    rule = WindowRule(tolerance=TOLERANCES[variant])
    labels, objects = assign(case["boxes"], case["crowd"], tuple(case["hw"][2:]), rule)
    np.testing.assert_array_equal(labels, case[f"label_{variant}"])
    np.testing.assert_array_equal(objects, case[f"gt_{variant}"])


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_mask_targets(case: Dict[str, np.ndarray]) -> None:
    height, width, *shape = case["hw"].tolist()
    packed = case.get("masks", np.zeros((0, height, 1), np.uint8))  # none are recorded where there is no object
    masks = np.unpackbits(packed, axis=-1)[..., :width].astype(bool)
    labels, objects = assign(case["boxes"], case["crowd"], tuple(shape), WindowRule())
    windows = np.argwhere(labels == 1)
    np.testing.assert_array_equal(windows, case.get("pos_B", np.zeros((0, 2))))
    shares = object_shares(masks, (height, width), tuple(shape))
    targets = window_targets(shares, windows, objects[labels == 1])
    assert len(targets) == len(windows)
    if not len(windows):
        return
    valid = case["valid_B"]
    np.testing.assert_array_equal(targets >= 0, valid)
    np.testing.assert_array_equal(targets[valid], case["target_B"][valid])
    # The shares themselves, cell by cell of every window.
    for window, n, expected, inside in zip(windows, objects[labels == 1], case["frac_B"], valid):
        rows, columns = (window[axis] - 10 + np.arange(21) for axis in (0, 1))
        on_map = np.ix_(rows[inside.any(1)], columns[inside.any(0)])
        np.testing.assert_allclose(shares[n][on_map].ravel(), expected[inside], atol=1e-6)
