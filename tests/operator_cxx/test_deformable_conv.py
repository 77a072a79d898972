"""Deformable convolution's C interface against numpy in float64, forward and backward."""

from __future__ import annotations

import ctypes
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional, Tuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

F = np.float32
SETTINGS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


class Case(NamedTuple):
    data: np.ndarray
    offset: np.ndarray
    mask: Optional[np.ndarray]
    weight: np.ndarray
    bias: Optional[np.ndarray]
    stride: Tuple[int, int] = (1, 1)
    pad: Tuple[int, int] = (1, 1)
    dilate: Tuple[int, int] = (1, 1)
    groups: int = 1
    deformable: int = 1

    @property
    def out_size(self) -> Tuple[int, int]:
        sizes = zip(self.data.shape[2:], self.weight.shape[2:], self.stride, self.pad, self.dilate)
        height, width = ((size + 2 * pad - dilate * (k - 1) - 1) // step + 1 for size, k, step, pad, dilate in sizes)
        return height, width


INPUTS = ("data", "offset", "mask", "weight", "bias")
VARIANTS: Dict[str, Dict[str, Any]] = {
    "plain": {"modulated": False},
    "modulated": {},
    "no bias": {"with_bias": False},
    "strided": {"stride": (2, 3), "pad": (0, 2)},
    "dilated": {"dilate": (2, 1), "pad": (2, 1)},
    "groups": {"channels": 12, "filters": 6, "groups": 3},
    "deformable groups": {"channels": 12, "deformable": 2},
    "both": {"channels": 12, "filters": 4, "groups": 2, "deformable": 3},
    "depthwise": {"channels": 4, "filters": 8, "groups": 4},
    "one by four": {"kernel": (1, 4)},
}


def draw_case(
    seed: int,
    n: int = 2,
    channels: int = 5,
    filters: int = 7,
    size: Tuple[int, int] = (6, 7),
    kernel: Tuple[int, int] = (3, 3),
    modulated: bool = True,
    with_bias: bool = True,
    **options: Any,
) -> Case:
    """Offsets keep away from whole numbers, where the gradient jumps."""
    random = np.random.RandomState(seed)
    data, weight = (
        random.randn(n, channels, *size),
        random.randn(filters, channels // options.get("groups", 1), *kernel),
    )
    empty = Case(data, data, None, weight, None, **options)
    maps = (n, empty.deformable * kernel[0] * kernel[1], *empty.out_size)
    offset = random.randint(-3, 3, (n, 2 * maps[1], *maps[2:])) + random.uniform(
        0.05, 0.95, (n, 2 * maps[1], *maps[2:])
    )
    arrays = [data, offset, random.rand(*maps) if modulated else None, weight]
    arrays.append(random.randn(filters) if with_bias else None)
    return Case(*(None if x is None else x.astype(F) for x in arrays), **options)


def sampled(case: Case) -> np.ndarray:
    """(N, C, taps, H', W') float64: what the taps find, mask included."""
    data = np.pad(case.data.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    n, channels, (height, width), out = *case.data.shape[:2], case.data.shape[2:], case.out_size
    kernel = case.weight.shape[2:]
    offset = case.offset.astype(np.float64).reshape(n, case.deformable, *kernel, 2, *out)
    row = np.arange(out[0])[:, None] * case.stride[0] - case.pad[0]
    column = np.arange(out[1]) * case.stride[1] - case.pad[1]
    found = np.zeros((n, channels, *kernel, *out))
    for image, channel, i, j in np.ndindex(n, channels, *kernel):
        dy, dx = offset[image, channel * case.deformable // channels, i, j]
        y, x = row + i * case.dilate[0] + dy, column + j * case.dilate[1] + dx
        inside = (y > -1) & (y < height) & (x > -1) & (x < width)
        y, x = np.where(inside, y, 0), np.where(inside, x, 0)
        top, left = np.floor(y).astype(int), np.floor(x).astype(int)
        ty, tx, plane = y - top, x - left, data[image, channel]
        top, left = top + 1, left + 1  # of the padded plane
        below, right = np.minimum(top + 1, height + 1), np.minimum(left + 1, width + 1)
        upper = (1 - tx) * plane[top, left] + tx * plane[top, right]
        lower = (1 - tx) * plane[below, left] + tx * plane[below, right]
        found[image, channel, i, j] = inside * ((1 - ty) * upper + ty * lower)
    found = found.reshape(n, channels, -1, *out)
    if case.mask is None:
        return found
    masks = case.mask.reshape(n, case.deformable, 1, -1, *out)
    return (found.reshape(n, case.deformable, -1, *found.shape[2:]) * masks).reshape(found.shape)


def numpy_forward(case: Case) -> np.ndarray:
    found = sampled(case)
    n, channels, taps, height, width = found.shape
    found = found.reshape(n, case.groups, channels // case.groups, taps, height, width)
    weight = case.weight.astype(np.float64).reshape(case.groups, -1, channels // case.groups, taps)
    out = np.einsum("gfct,ngcthw->ngfhw", weight, found).reshape(n, -1, height, width)
    return out if case.bias is None else out + case.bias[:, None, None]


def heads(case: Case) -> np.ndarray:
    return np.random.RandomState(9).randn(len(case.data), len(case.weight), *case.out_size).astype(F)


@pytest.fixture()
def run(c_call: Callable, c_scratch: Callable) -> Callable[..., Tuple[np.ndarray, Dict[str, np.ndarray]]]:
    """`run(case)`: output, and gradients by name for `heads(case)` or another head gradient."""

    def call(case: Case, grad: Any = None) -> Tuple[np.ndarray, Dict[str, np.ndarray]]:
        sizes = [*case.data.shape, len(case.weight), case.groups, case.deformable, *case.weight.shape[2:]]
        sizes += [*case.stride, *case.pad, *case.dilate, *case.out_size]
        shape = (ctypes.c_int32 * len(sizes))(*sizes)
        grad = heads(case) if grad is None else grad
        out = np.full(grad.shape, np.nan, F)
        gradients = [None if array is None else np.full_like(array, np.nan) for array in case[:5]]
        scratch = c_scratch("fullconv_deformable_conv_workspace", shape)
        c_call("fullconv_deformable_conv_fwd_cpu", *case[:5], out, shape, scratch)
        scratch[:] = 0xAB
        c_call("fullconv_deformable_conv_bwd_cpu", grad, *case[:4], *gradients, shape, scratch)
        return out, {key: array for key, array in zip(INPUTS, gradients) if array is not None}

    return call


def close(found: np.ndarray, expected: np.ndarray, tolerance: float, name: str = "") -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max()), err_msg=name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_numpy(variant: str, run: Callable) -> None:
    case = draw_case(1, **VARIANTS[variant])
    close(run(case)[0], numpy_forward(case), 1e-5)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kernel, groups, deformable = (draw(st.integers(1, 3)), draw(st.integers(1, 3))), draw(st.integers(1, 2)), 1
    channels = groups * draw(st.integers(1, 3))
    if channels % 2 == 0:
        deformable = draw(st.integers(1, 2))
    dilate = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    pad = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    least = [max(1, step * (k - 1) + 1 - 2 * p) for step, k, p in zip(dilate, kernel, pad)]
    return draw_case(
        draw(st.integers(0, 10000)),
        n=draw(st.integers(1, 2)),
        channels=channels,
        filters=groups * draw(st.integers(1, 3)),
        size=(least[0] + draw(st.integers(0, 5)), least[1] + draw(st.integers(0, 5))),
        kernel=kernel,
        modulated=draw(st.booleans()),
        with_bias=draw(st.booleans()),
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        pad=pad,
        dilate=dilate,
        groups=groups,
        deformable=deformable,
    )


@SETTINGS
@given(case=cases())
def test_drawn_cases(case: Case, run: Callable) -> None:
    close(run(case)[0], numpy_forward(case), 1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", range(5))
def test_finite_differences(seed: int, variant: str, run: Callable) -> None:
    """Along random directions, against central differences of the float64 forward pass."""
    case = draw_case(seed, **VARIANTS[variant])
    grad, gradients = heads(case), run(case)[1]
    for name, found in gradients.items():
        array = getattr(case, name).astype(np.float64)
        for direction in np.random.RandomState(seed).randn(4, *array.shape):
            ends = [
                (numpy_forward(case._replace(**{name: array + step * direction})) * grad).sum()
                for step in (1e-5, -1e-5)
            ]
            slope, scale = (ends[0] - ends[1]) / 2e-5, np.abs(found * direction).sum()
            np.testing.assert_allclose((found * direction).sum(), slope, rtol=1e-3, atol=1e-5 * scale, err_msg=name)


@pytest.mark.parametrize("variant", ["plain", "modulated", "groups", "both"])
def test_every_offset_and_mask(variant: str, run: Callable) -> None:
    """Each by itself, as a direction could hide an exchange of two; a pixel's only move that pixel of the output."""
    case = draw_case(6, size=(4, 5), **VARIANTS[variant])
    grad, gradients = heads(case), run(case)[1]
    for name in ("offset", "mask"):
        for channel in range(gradients[name].shape[1] if name in gradients else 0):
            ends = []
            for step in (1e-5, -1e-5):
                moved = getattr(case, name).astype(np.float64)
                moved[:, channel] += step
                ends.append((numpy_forward(case._replace(**{name: moved})) * grad).sum(1))
            close(gradients[name][:, channel], (ends[0] - ends[1]) / 2e-5, 1e-4, f"{name} {channel}")


@pytest.mark.parametrize("groups", [1, 2])
def test_many_chunks(groups: int, run: Callable) -> None:
    """A map that does not fit the cache at once."""
    case = draw_case(2, n=1, channels=128, filters=20, size=(31, 40), groups=groups, deformable=2)
    out, gradients = run(case)
    close(out, numpy_forward(case), 1e-5)
    columns = sampled(case).reshape(groups, 128 // groups, 9, -1)
    expected = np.einsum("gfp,gctp->gfct", heads(case).reshape(groups, 20 // groups, -1).astype(float), columns)
    close(gradients["weight"], expected.reshape(case.weight.shape), 1e-5)
    close(gradients["bias"], heads(case).sum((0, 2, 3), dtype=float), 1e-5)


def test_batch_equals_singles(run: Callable) -> None:
    case = draw_case(3, n=3)
    out, gradients = run(case)
    singles = []
    for i in range(3):
        part = slice(i, i + 1)
        maps = {name: getattr(case, name)[part] for name in ("data", "offset", "mask")}
        alone, single = run(case._replace(**maps), heads(case)[part])
        np.testing.assert_array_equal(alone, out[part])
        for name in maps:
            np.testing.assert_array_equal(single[name], gradients[name][part])
        singles.append(single)
    for name in ("weight", "bias"):
        close(sum(single[name] for single in singles), gradients[name], 1e-5)


def test_whole_number_offsets_move_the_image(run: Callable) -> None:
    """One down and two to the left for every tap: an ordinary convolution of the moved image."""
    case = draw_case(4, size=(8, 9))
    case.offset[:] = np.tile([1, -2], 9)[None, :, None, None]
    case.mask[:] = 1
    moved = np.zeros_like(case.data)
    moved[:, :, :-1, 2:] = case.data[:, :, 1:, :-2]
    still = case._replace(data=moved, offset=np.zeros_like(case.offset))
    inner = (slice(None), slice(None), slice(1, -2), slice(3, -1))  # where no tap looks over the moved image's edge
    close(run(case)[0][inner], run(still)[0][inner], 1e-6)


@pytest.mark.parametrize("place, counts", [(-0.5, 0.5), (-0.999, 0.001), (-1.0, 0), (2.5, 0.5), (3.0, 0)])
def test_border(place: float, counts: float, run: Callable) -> None:
    """A sample fades out over one pixel beyond the image."""
    one = np.ones((1, 1, 1, 1), F)
    offset = np.array([place, 1], F).reshape(1, 2, 1, 1)
    case = Case(np.ones((1, 1, 3, 3), F), np.tile(offset, (1, 1, 3, 3)), None, one, None, pad=(0, 0))
    np.testing.assert_allclose(run(case)[0][0, 0, 0, 0], counts, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30])
def test_senseless_offsets_lead_outside(value: float, run: Callable) -> None:
    case = draw_case(5)
    case.offset[:] = value
    out, gradients = run(case)
    np.testing.assert_array_equal(out, np.broadcast_to(case.bias[:, None, None], out.shape))
    for name in ("data", "offset", "mask", "weight"):
        np.testing.assert_array_equal(gradients[name], 0)


def test_bad_number_in_data_stays_where_it_is_seen(run: Callable) -> None:
    """The first pixel, at which corners outside must not look."""
    case = draw_case(7, size=(12, 12))
    case.offset[:] = 0.25
    case.data[0, 0, 0, 0] = np.nan
    out = run(case)[0]
    assert np.isnan(out[0, :, :2, :2]).all() and np.isfinite(out[0, :, 2:]).all() and np.isfinite(out[1]).all()


@pytest.fixture()
def threads() -> Iterator[Callable[[int], None]]:
    openmp = ctypes.CDLL("libgomp.so.1")
    before = openmp.omp_get_max_threads()
    yield openmp.omp_set_num_threads
    openmp.omp_set_num_threads(before)


def test_number_of_threads(run: Callable, threads: Callable) -> None:
    """The output is the same; gradients that all pixels add to are summed in another order."""
    case = draw_case(8, n=1, channels=8, size=(20, 21))
    threads(1)
    out, gradients = run(case)
    for count in (2, 3, 16):
        threads(count)
        other, others = run(case)
        close(other, out, 1e-6)
        for name, expected in gradients.items():
            close(others[name], expected, 1e-5, name)


ATTRIBUTES = {"num_filter": 4, "kernel": (3, 3), "pad": (1, 1)}
SHAPES = [(1, 6, 5, 5), (1, 18, 5, 5), (4, 6, 3, 3), (4,)]


def test_registered_operator(host: Any, run: Callable) -> None:
    case = draw_case(10, channels=6, filters=4, groups=2, deformable=3)
    attributes = {**ATTRIBUTES, "num_group": 2, "num_deformable_group": 3, "modulated": True}
    (out,) = host.call("fullconv_deformable_conv", list(case[:5]), attributes)
    np.testing.assert_array_equal(out, run(case)[0])
    gradients = host.call("fullconv_deformable_conv", list(case[:5]), attributes, backward=True)
    for found, expected in zip(gradients, run(case, np.ones_like(out))[1].values()):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "place, shape, changed, message",
    [
        (1, (1, 9, 5, 5), {}, r"input offset has shape \(1,9,5,5\), expected \(1,18,5,5\)"),
        (2, (4, 3, 3, 3), {}, r"input weight has shape \(4,3,3,3\), expected \(4,6,3,3\)"),
        (3, (3,), {}, r"input bias has shape \(3\), expected \(4\)"),
        (0, (1, 6, 5), {}, r"input data has shape \(1,6,5\), expected \(\*,\*,\*,\*\)"),
        (0, (1, 6, 5, 5), {"num_group": 4}, r"\(1,6,5,5\): its channels are no multiple of num_group=4"),
        (0, (1, 6, 5, 5), {"num_group": 3}, "num_filter='4' is no multiple of num_group=3"),
        (0, (1, 6, 5, 5), {"kernel": (3,)}, r"attribute kernel='\(3,\)' is not two integers from 1 on"),
        (0, (1, 6, 5, 5), {"stride": (0, 1)}, r"attribute stride='\(0, 1\)' is not two integers from 1 on"),
        (0, (1, 6, 5, 5), {"dilate": (9, 9)}, r"\(1,6,5,5\): smaller than the kernel"),
        (0, (1, 6, 5, 5), {"num_filter": 0}, "attribute num_filter='0' must be at least 1"),
        (0, (1, 6, 5, 5), {"workspace": 1}, "unknown attribute workspace='1'; it has: kernel, stride"),
    ],
)
def test_errors_name_operator_and_value(host: Any, place: int, shape: tuple, changed: dict, message: str) -> None:
    shapes = [*SHAPES[:place], shape, *SHAPES[place + 1 :]]
    with pytest.raises(Exception, match="fullconv_deformable_conv: .*" + message):
        host.call("fullconv_deformable_conv", [np.zeros(s, F) for s in shapes], {**ATTRIBUTES, **changed})
