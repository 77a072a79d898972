"""The matrix product under deformable convolution: the CPU's form and the GPU's, run on the CPU."""

from __future__ import annotations

from typing import Callable

import numpy as np
import pytest

F = np.float32


@pytest.mark.parametrize("in_tiles", [0, 1], ids=["panels", "tiles"])
@pytest.mark.parametrize("add", [0, 1])
@pytest.mark.parametrize(
    "rows, inner, columns",
    [(1, 1, 1), (6, 96, 64), (7, 97, 65), (5, 3, 16), (13, 200, 17), (250, 100, 33), (500, 30, 200), (241, 1, 130)],
)
def test_equals_numpy(rows: int, inner: int, columns: int, add: int, in_tiles: int, c_call: Callable) -> None:
    random = np.random.RandomState(rows)
    a, b, c = (random.randn(*shape).astype(F) for shape in ((rows, inner), (inner, columns), (rows, columns)))
    expected = a.astype(np.float64) @ b + add * c
    c_call("fullconv_product", a, b, c, rows, inner, columns, add, in_tiles)
    np.testing.assert_allclose(c, expected, rtol=0, atol=1e-5 * inner**0.5)


@pytest.mark.parametrize("in_tiles", [0, 1], ids=["panels", "tiles"])
def test_bad_numbers_stay_in_their_row_and_column(in_tiles: int, c_call: Callable) -> None:
    """What is read beside the matrices' edges must not show."""
    a, b, c = np.ones((9, 5), F), np.ones((5, 70), F), np.full((9, 70), np.nan, F)
    a[4, 2] = np.nan
    b[1, 66] = np.inf
    c_call("fullconv_product", a, b, c, 9, 5, 70, 0, in_tiles)
    assert np.isnan(c[4]).all() and not np.isfinite(c[:, 66]).any()
    c[4], c[:, 66] = 5, 5
    np.testing.assert_array_equal(c, 5)
