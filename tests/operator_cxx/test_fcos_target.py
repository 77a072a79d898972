"""FCOS's targets: the C interface against numpy, and the registration."""

from __future__ import annotations

from typing import Any, Callable, List, NamedTuple, Sequence, Tuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

F = np.float32
SIZES, STRIDES, INTEREST = ((8, 10), (4, 5), (2, 3)), (8, 16, 32), (24.0, 48.0)
INFINITY = 1e8
SETTINGS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


class Targets(NamedTuple):
    labels: np.ndarray
    regression: np.ndarray
    centerness: np.ndarray


def numpy_image(gt: np.ndarray, radius: float, normalise: bool) -> Targets:
    """One image, all pairs of locations and boxes at once."""
    gt = gt[gt[:, 4] > 0]
    edges = [-1.0, *INTEREST, INFINITY]
    points, limits, strides = [], [], []
    for (height, width), stride, low, high in zip(SIZES, STRIDES, edges, edges[1:]):
        y, x = np.mgrid[:height, :width] * stride + stride // 2
        points.append(np.stack([x.ravel(), y.ravel()], 1))
        limits += [(low, high)] * (height * width)
        strides += [stride] * (height * width)
    points, limits, strides = np.concatenate(points).astype(F), np.array(limits, F), np.array(strides, F)
    if len(gt) == 0:
        return Targets(*(np.zeros(shape, F) for shape in (len(points), (len(points), 4), len(points))))

    def sides(corners: np.ndarray) -> np.ndarray:
        return np.concatenate([points[:, None] - corners[..., :2], corners[..., 2:] - points[:, None]], -1)

    corners = np.repeat(gt[None, :, :4], len(points), 0)
    distances, part = sides(corners), corners.copy()
    if radius > 0:
        centre, reach = (gt[:, :2] + gt[:, 2:4]) / 2, (strides * radius)[:, None, None]
        part[..., :2] = np.maximum(centre - reach, part[..., :2])
        part[..., 2:] = np.minimum(centre + reach, part[..., 2:])
    farthest = distances.max(-1)
    fits = (farthest >= limits[:, :1]) & (farthest <= limits[:, 1:]) & (sides(part).min(-1) > 0)
    area = (gt[:, 2] - gt[:, 0] + 1) * (gt[:, 3] - gt[:, 1] + 1)
    cost = np.where(fits, area, F(INFINITY))
    best, found = cost.argmin(1), cost.min(1) < INFINITY
    chosen = np.where(found[:, None], distances[np.arange(len(points)), best], 0).astype(F)
    chosen = chosen / strides[:, None] if normalise else chosen
    across, along = chosen[found][:, ::2], chosen[found][:, 1::2]
    centerness = np.zeros(len(points), F)
    centerness[found] = np.sqrt(across.min(1) / across.max(1) * (along.min(1) / along.max(1)))
    return Targets(np.where(found, gt[best, 4], 0).astype(F), chosen, centerness)


def draw_boxes(images: int, count: int, seed: int) -> np.ndarray:
    """Whole numbers, so that borders, equal areas and range limits are met; padding in between."""
    random = np.random.RandomState(seed)
    low, extent = random.randint(0, 60, (images, count, 2)), random.randint(1, 60, (images, count, 2))
    labels = random.randint(-1, 5, (images, count, 1))
    return np.concatenate([low, low + extent, labels], 2).astype(F)


@pytest.fixture()
def run(c_call: Callable) -> Callable[..., Targets]:
    def call(gt: np.ndarray, radius: float = 0.0, normalise: bool = False) -> Targets:
        edges = [-1.0, *INTEREST, INFINITY]
        rows = [
            [*size, stride, low, high, stride * radius]
            for size, stride, low, high in zip(SIZES, STRIDES, edges, edges[1:])
        ]
        n, locations = len(gt), sum(h * w for h, w in SIZES)
        found = Targets(*(np.full(shape, np.nan, F) for shape in ((n, locations), (n, locations, 4), (n, locations))))
        sizes = (n, gt.shape[1], len(rows), int(normalise))
        c_call("fullconv_fcos_target_fwd_cpu", np.ascontiguousarray(gt), np.array(rows, F), *found, *sizes)
        return found

    return call


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("radius", [0.0, 0.3, 1.0, 1.5])
@pytest.mark.parametrize("seed", range(5))
def test_equals_numpy(seed: int, radius: float, normalise: bool, run: Callable) -> None:
    gt = draw_boxes(3, 1 + 5 * seed, seed)
    found = run(gt, radius, normalise)
    expected = [numpy_image(image, radius, normalise) for image in gt]
    assert seed == 0 or (found.labels > 0).any()
    for a, b in zip(found, zip(*expected)):
        np.testing.assert_array_equal(a, np.stack(b))


@SETTINGS
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 12), st.sampled_from([0.0, 0.3, 1.5]), st.booleans()
)
def test_drawn_cases(run: Callable, seed: int, images: int, count: int, radius: float, normalise: bool) -> None:
    """Corners anywhere, also outside of the image; an image whose first box is centred at 0 has a test of its own."""
    random = np.random.RandomState(seed)
    gt = draw_boxes(images, count, seed)
    gt[..., :4] += random.uniform(-9, 9, gt[..., :4].shape).astype(F)
    expected = [numpy_image(image, radius, normalise) for image in gt]
    for a, b in zip(run(gt, radius, normalise), zip(*expected)):
        np.testing.assert_array_equal(a, np.stack(b))


@pytest.mark.parametrize("radius", [0.0, 1.5])
def test_image_without_boxes_is_background(radius: float, run: Callable) -> None:
    gt = draw_boxes(3, 4, 1)
    gt[..., 4] = 1
    gt[1, :, 4] = [0, -1, 0, np.nan]
    found = run(gt, radius)
    assert all(not array[1].any() for array in found)
    assert (found.labels[[0, 2]] > 0).any(1).all()


def test_first_of_equal_areas(run: Callable) -> None:
    gt = np.array([[[0, 0, 30, 40, 3], [0, 0, 40, 30, 4], [0, 0, 30, 40, 5]]], F)
    labels = run(gt).labels
    assert 3 in labels and 4 in labels and 5 not in labels  # 4 where only that box reaches


def test_first_box_centred_at_zero(run: Callable) -> None:
    """The original's guard against images without boxes; padding in front does not trigger or hide it."""
    gt = np.array([[[0, 0, 0, 0, 0], [-30, 10, 30, 50, 1], [10, 10, 50, 50, 2]]], F)
    assert not run(gt, 1.5).labels.any() and run(gt, 0.0).labels.any()
    assert run(gt[:, [0, 2, 1]], 1.5).labels.any()


def test_senseless_boxes(run: Callable) -> None:
    bad = [[np.nan] * 4 + [1], [50, 50, 10, 10, 1], [0, 0, np.inf, np.inf, 1], [-1e30, -1e30, 1e30, 1e30, 1]]
    found = run(np.array([bad], F))
    assert not found.labels.any() and np.isfinite(found.regression).all()


def test_batch_equals_singles(run: Callable) -> None:
    gt = draw_boxes(4, 6, 2)
    for i, together in enumerate(zip(*run(gt, 1.5, True))):
        for a, b in zip(run(gt[i : i + 1], 1.5, True), together):
            np.testing.assert_array_equal(a[0], b)


def call_operator(host: Any, gt: np.ndarray, sizes: Sequence[Tuple[int, int]] = SIZES, **changed: Any) -> List[Any]:
    attributes = {"strides": STRIDES, "sizes_of_interest": INTEREST, **changed}
    levels = [np.zeros((len(gt), 2, *size), F) for size in sizes]
    return host.call("fullconv_fcos_target", [gt, *levels], attributes)


def test_registered_operator(host: Any, run: Callable) -> None:
    gt = draw_boxes(2, 6, 3)
    outputs = call_operator(host, gt, center_sampling_radius=1.5, norm_reg_targets=True)
    for a, b in zip(outputs, run(gt, 1.5, True)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"strides": (8, 16.5, 32)}, "attribute strides='.*' must hold integers from 1 on"),
        ({"sizes_of_interest": (24,)}, "sizes_of_interest='.*' must have a number between each two of 3 levels"),
        ({"center_sampling_radius": "far"}, "center_sampling_radius='far' is not a finite number"),
        ({"radius": 1}, "unknown attribute radius='1'; it has: strides, sizes_of_interest"),
    ],
)
def test_errors_name_operator_and_value(host: Any, changed: dict, message: str) -> None:
    with pytest.raises(Exception, match="fullconv_fcos_target: .*" + message):
        call_operator(host, draw_boxes(1, 2, 0), **changed)


def test_bad_shapes(host: Any) -> None:
    with pytest.raises(Exception, match=r"input gt_boxes has shape \(1,2,4\), expected \(\*,\*,5\)"):
        call_operator(host, np.zeros((1, 2, 4), F))
    levels = [np.zeros((2, 1, 4, 4), F), np.zeros((1, 1, 2, 2), F)]
    attributes = {"strides": (8, 16), "sizes_of_interest": (64,)}
    with pytest.raises(Exception, match=r"input level1 has shape \(1,1,2,2\), expected \(2,\*,\*,\*\)"):
        host.call("fullconv_fcos_target", [np.zeros((2, 1, 5), F), *levels], attributes)
