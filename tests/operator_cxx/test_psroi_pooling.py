"""PSROIPooling's C interface against a plain numpy reading of its definition, bit for bit."""

from __future__ import annotations

from typing import Callable, Iterator, NamedTuple, Tuple

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

F = np.float32
SETTINGS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


class Case(NamedTuple):
    data: np.ndarray
    rois: np.ndarray
    dim: int
    group: int
    pooled: int
    scale: float

    @property
    def sizes(self) -> tuple:
        n, _, height, width = self.data.shape
        return n, self.dim, self.group, self.pooled, height, width, len(self.rois), self.scale

    @property
    def out_shape(self) -> tuple:
        return len(self.rois), self.dim, self.pooled, self.pooled


def round_away(x: np.float32) -> np.float32:
    return F(np.copysign(np.floor(np.abs(np.float64(x)) + 0.5), x))


def axis_bins(
    low: np.float32, high: np.float32, scale: np.float32, pooled: int, size: int
) -> Iterator[Tuple[int, int]]:
    start = F(round_away(low) * scale)
    extent = F(F(F(round_away(high) + F(1)) * scale) - start)
    bin_size = F(F(max(float(extent), 0.1)) / F(pooled))
    for p in range(pooled):
        begin = np.floor(F(F(F(p) * bin_size) + start))
        end = np.ceil(F(F(F(p + 1) * bin_size) + start))
        yield int(np.clip(begin, 0, size)), int(np.clip(end, 0, size))


def bins(case: Case) -> Iterator[tuple]:
    """(output index, input index as slices) of every bin that is not empty, in the original's order."""
    n, _, height, width = case.data.shape
    for r, roi in enumerate(case.rois):
        if not np.isfinite(roi).all() or not -1 < roi[0] < n:
            continue
        rows = list(axis_bins(roi[2], roi[4], F(case.scale), case.pooled, height))
        columns = list(axis_bins(roi[1], roi[3], F(case.scale), case.pooled, width))
        for c in range(case.dim):
            for ph, (top, bottom) in enumerate(rows):
                for pw, (left, right) in enumerate(columns):
                    cell = (ph * case.group // case.pooled) * case.group + pw * case.group // case.pooled
                    if bottom > top and right > left:
                        plane = int(roi[0]), c * case.group**2 + cell
                        yield (r, c, ph, pw), (*plane, slice(top, bottom), slice(left, right))


def numpy_forward(case: Case) -> np.ndarray:
    out = np.zeros(case.out_shape, F)
    for at, pixels in bins(case):
        total = F(0)
        for value in case.data[pixels].ravel():
            total = F(total + value)
        out[at] = total / F(case.data[pixels].size)
    return out


def numpy_backward(case: Case, grad: np.ndarray) -> np.ndarray:
    grad_data = np.zeros_like(case.data)
    for at, pixels in bins(case):
        grad_data[pixels] += grad[at] / F(grad_data[pixels].size)
    return grad_data


def fast(case: Case, grad: np.ndarray, c_call: Callable, c_scratch: Callable) -> Tuple[np.ndarray, np.ndarray]:
    sizes = (case.dim, case.group, case.pooled, *case.data.shape[2:], len(case.rois))
    out, grad_data = np.full(case.out_shape, np.nan, F), np.full(case.data.shape, np.nan, F)
    space = [c_scratch("fullconv_psroi_pooling_workspace", *sizes, backward) for backward in (0, 1)]
    c_call("fullconv_psroi_pooling_fwd_cpu", case.data, case.rois, out, *case.sizes, space[0])
    c_call("fullconv_psroi_pooling_bwd_cpu", grad, case.rois, grad_data, *case.sizes, space[1])
    return out, grad_data


def direct(case: Case, grad: np.ndarray, c_call: Callable) -> Tuple[np.ndarray, np.ndarray]:
    out, grad_data = np.full(case.out_shape, np.nan, F), np.full(case.data.shape, np.nan, F)
    c_call("fullconv_psroi_pooling_direct_fwd_cpu", case.data, case.rois, out, *case.sizes)
    c_call("fullconv_psroi_pooling_direct_bwd_cpu", grad, case.rois, grad_data, *case.sizes)
    return out, grad_data


COORDINATES = st.one_of(
    st.floats(-60, 260, width=32),
    st.integers(-10, 220).map(lambda i: i + 0.5),  # ties of the rounding
    st.sampled_from([0.0, np.nan, np.inf, -np.inf, 1e30, -1e30, 3e38]),
)
IMAGES = st.one_of(st.integers(0, 2).map(float), st.sampled_from([-1.0, 3.0, 1e9, np.nan, -np.inf, 0.7, -0.3]))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    group, dim = draw(st.integers(1, 4)), draw(st.integers(1, 19))
    pooled, n = draw(st.integers(1, 7)), draw(st.integers(1, 3))
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    count = draw(st.integers(0, 5))
    rois = [[draw(IMAGES), *(draw(COORDINATES) for _ in range(4))] for _ in range(count)]
    random = np.random.RandomState(draw(st.integers(0, 1000)))
    data = random.randn(n, dim * group**2, height, width).astype(F)
    scale = draw(st.sampled_from([0.0625, 0.125, 1.0, 0.1]))
    return Case(data, np.array(rois, F).reshape(-1, 5), dim, group, pooled, scale)


@SETTINGS
@given(case=cases())
def test_drawn_cases(case: Case, c_call: Callable, c_scratch: Callable) -> None:
    grad = np.random.RandomState(7).randn(*case.out_shape).astype(F)
    expected = numpy_forward(case), numpy_backward(case, grad)
    for found in (fast(case, grad, c_call, c_scratch), direct(case, grad, c_call)):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_fast_path_at_full_size(c_call: Callable, c_scratch: Callable) -> None:
    """The published sizes, with more channels than one block and a partial block, over two images."""
    random = np.random.RandomState(0)
    centres, sizes = random.uniform(0, 1, (40, 2)) * [350, 300], random.uniform(5, 300, (40, 2))
    rois = np.concatenate([random.randint(0, 2, (40, 1)), centres - sizes / 2, centres + sizes / 2], 1).astype(F)
    case = Case(random.randn(2, 42 * 49, 19, 23).astype(F), rois, 42, 7, 21, 0.0625)
    grad = random.randn(*case.out_shape).astype(F)
    for a, b in zip(fast(case, grad, c_call, c_scratch), direct(case, grad, c_call)):
        np.testing.assert_array_equal(a, b)


def test_no_rois(c_call: Callable, c_scratch: Callable) -> None:
    case = Case(np.ones((1, 4, 3, 3), F), np.zeros((0, 5), F), 1, 2, 4, 1.0)
    out, grad_data = fast(case, np.zeros(case.out_shape, F), c_call, c_scratch)
    assert out.size == 0
    np.testing.assert_array_equal(grad_data, 0)
