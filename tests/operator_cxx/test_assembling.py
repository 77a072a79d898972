"""Assembling's C interface against a plain numpy reading of its definition, bit for bit."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Tuple

import numpy as np
import pytest

F = np.float32
RULES = ("centre", "floor")


class Case(NamedTuple):
    maps: np.ndarray
    windows: np.ndarray
    group: int
    size: int
    rule: str

    @property
    def sizes(self) -> Tuple[int, ...]:
        n, _, height, width = self.maps.shape
        return n, self.group, self.size, RULES.index(self.rule), height, width, len(self.windows)


def part(p: int, case: Case) -> int:
    """Which part pixel p belongs to, by distances instead of a formula for the index."""
    edges = [i * case.size / case.group for i in range(1, case.group)]
    middle = p + 0.5 if case.rule == "centre" else p
    return sum(edge <= middle + 1e-9 for edge in edges)


def pixels(case: Case) -> Any:
    """(place in the output, place in the maps) of every pixel that is on a map."""
    n, _, height, width = case.maps.shape
    for r, (image, cy, cx) in enumerate(case.windows):
        if not (0 <= image < n and np.isfinite([cy, cx]).all()):
            continue
        for p in range(case.size):
            for q in range(case.size):
                y, x = int(cy) - case.size // 2 + p, int(cx) - case.size // 2 + q
                if 0 <= y < height and 0 <= x < width:
                    channel = part(p, case) * case.group + part(q, case)
                    yield (r, p, q), (int(image), channel, y, x)


def plain(case: Case, grad: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(output, valid, gradient of the maps)."""
    out, valid = (np.zeros((len(case.windows), case.size, case.size), F) for _ in range(2))
    grad_maps = np.zeros_like(case.maps)
    for place, source in pixels(case):
        out[place], valid[place] = case.maps[source], 1
        grad_maps[source] += grad[place]
    return out, valid, grad_maps


def ours(case: Case, grad: np.ndarray, c_call: Callable, dense: bool = False) -> Tuple[np.ndarray, ...]:
    windows = None if dense else np.ascontiguousarray(case.windows, F)
    out, valid = (np.full((len(case.windows), case.size, case.size), np.nan, F) for _ in range(2))
    grad_maps = np.full(case.maps.shape, np.nan, F)
    c_call("fullconv_assemble_fwd_cpu", case.maps, windows, out, valid, *case.sizes)
    c_call("fullconv_assemble_bwd_cpu", grad, windows, grad_maps, *case.sizes)
    return out, valid, grad_maps


def draw(seed: int, group: int, size: int, rule: str) -> Case:
    random = np.random.RandomState(seed)
    n, height, width = random.randint(1, 4), random.randint(1, 30), random.randint(1, 30)
    centres = random.randint(-size, 30 + size, (random.randint(1, 12), 2))
    windows = np.concatenate([random.randint(-1, n + 1, (len(centres), 1)), centres], 1)
    return Case(random.randn(n, group**2, height, width).astype(F), windows, group, size, rule)


def dense_windows(n: int, height: int, width: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(n), np.arange(height), np.arange(width), indexing="ij"), -1).reshape(-1, 3)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("group, size", [(1, 1), (1, 21), (2, 5), (3, 21), (5, 21), (7, 21), (4, 9), (9, 9)])
def test_equals_numpy(group: int, size: int, rule: str, c_call: Callable) -> None:
    for seed in range(6):
        case = draw(seed, group, size, rule)
        grad = np.random.RandomState(seed).randn(len(case.windows), size, size).astype(F)
        for found, expected in zip(ours(case, grad, c_call), plain(case, grad)):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("rule", RULES)
def test_dense_is_the_list_of_all_windows(rule: str, c_call: Callable) -> None:
    maps = np.random.RandomState(1).randn(2, 25, 6, 7).astype(F)
    case = Case(maps, dense_windows(2, 6, 7), 5, 21, rule)
    grad = np.random.RandomState(2).randn(len(case.windows), 21, 21).astype(F)
    for a, b in zip(ours(case, grad, c_call, dense=True), ours(case, grad, c_call)):
        np.testing.assert_array_equal(a, b)


def test_batch_equals_singles(c_call: Callable) -> None:
    maps = np.random.RandomState(1).randn(3, 25, 6, 7).astype(F)
    windows, grad = dense_windows(3, 6, 7), np.random.RandomState(2).randn(126, 21, 21).astype(F)
    together = ours(Case(maps, windows, 5, 21, "centre"), grad, c_call)
    for i in range(3):
        rows = windows[:, 0] == i
        single = Case(maps[i : i + 1].copy(), windows[rows] * [0, 1, 1], 5, 21, "centre")
        expected = [array[rows] for array in together[:2]] + [together[2][i : i + 1]]
        for a, b in zip(ours(single, grad[rows].copy(), c_call), expected):
            np.testing.assert_array_equal(a, b)


def test_unusable_windows_are_padding(c_call: Callable) -> None:
    bad = [[-1, 3, 3], [2, 3, 3], [np.nan, 3, 3], [0, np.nan, 3], [0, 3, np.inf], [0, -1e30, 3], [1e30, 3, 3]]
    case = Case(np.ones((2, 9, 8, 8), F), np.array(bad, F), 3, 5, "centre")
    assert not any(array.any() for array in ours(case, np.ones((len(bad), 5, 5), F), c_call))


def test_centre_rule_mirrors(c_call: Callable) -> None:
    """Mirrored maps with mirrored parts give mirrored windows; with `floor` and 21 / 5 they do not."""
    maps = np.random.RandomState(3).randn(1, 25, 9, 12).astype(F)
    mirrored = np.ascontiguousarray(maps.reshape(1, 5, 5, 9, 12)[:, :, ::-1, :, ::-1].reshape(maps.shape))
    windows = dense_windows(1, 9, 12)
    opposite = windows * [1, 1, -1] + [0, 0, 11]
    grad = np.zeros((len(windows), 21, 21), F)
    for rule, equal in (("centre", True), ("floor", False)):
        found = ours(Case(mirrored, opposite, 5, 21, rule), grad, c_call)[0][:, :, ::-1]
        assert np.array_equal(found, ours(Case(maps, windows, 5, 21, rule), grad, c_call)[0]) == equal


def test_registered_operator(host: Any, c_call: Callable) -> None:
    case = draw(4, 3, 7, "floor")
    attributes = {"group_size": 3, "window_size": 7, "rule": "floor"}
    grad = np.ones((len(case.windows), 7, 7), F)
    expected = ours(case, grad, c_call)
    for a, b in zip(host.call("fullconv_assemble", [case.maps, case.windows], attributes), expected):
        np.testing.assert_array_equal(a, b)
    gradients = host.call("fullconv_assemble", [case.maps, case.windows], attributes, backward=True)
    np.testing.assert_array_equal(gradients[0], expected[2])
    assert not gradients[1].any()
    dense = host.call("fullconv_assemble", [case.maps], {**attributes, "dense": True})
    assert dense[0].shape == (case.maps[:, 0].size, 7, 7)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"window_size": 20}, "attribute window_size='20' must be odd, to have a centre, and at most 255"),
        ({"window_size": 257}, "attribute window_size='257' must be odd"),
        ({"group_size": 0}, "attribute group_size='0' must be at least 1"),
        ({"group_size": 9}, "attribute group_size='9' must be at most window_size, 7"),
        ({"rule": "round"}, "attribute rule='round' is none of centre, floor"),
        ({"size": 1}, "unknown attribute size='1'; it has: group_size, window_size, rule, dense"),
        ({"group_size": 2}, r"input score_maps has shape \(1,9,4,4\), expected 4 channels: group_size\^2"),
    ],
)
def test_errors_name_operator_and_value(host: Any, changed: dict, message: str) -> None:
    with pytest.raises(Exception, match="fullconv_assemble: .*" + message):
        attributes = {"group_size": 3, "window_size": 7, **changed}
        host.call("fullconv_assemble", [np.zeros((1, 9, 4, 4), F), np.zeros((1, 3), F)], attributes)


def test_bad_windows(host: Any) -> None:
    with pytest.raises(Exception, match=r"input windows has shape \(1,4\), expected \(\*,3\)"):
        attributes = {"group_size": 3, "window_size": 7}
        host.call("fullconv_assemble", [np.zeros((1, 9, 4, 4), F), np.zeros((1, 4), F)], attributes)
