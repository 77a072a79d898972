"""InstanceFCN's proposals against the plain numpy pipeline, bit for bit, and their properties."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, List, Sequence, Tuple

import numpy as np
import pytest

from benchmarks.plain_proposals import plain_proposals
from fullconv.lib.mask.encode import encode_mask
from fullconv.lib.mask.instance_proposals import Proposals, ScaleMaps, instance_proposals

F = np.float32


def draw(
    seed: int, image: Tuple[int, int], shorts: Sequence[float], group: int = 5, steps: float = 0.0
) -> List[ScaleMaps]:
    """Maps with objects in them at each size. steps: logits are rounded to multiples, so that many are equal."""
    rng = np.random.RandomState(seed)
    scales = []
    for short in shorts:
        height, width = (max(1, int(round(side * short / min(image)))) for side in image)
        cells = -(-height // 8), -(-width // 8)
        coarse = rng.randn(group**2 + 1, -(-cells[0] // 4), -(-cells[1] // 4)) * 4
        logits = np.kron(coarse, np.ones((1, 4, 4)))[:, : cells[0], : cells[1]] + rng.randn(group**2 + 1, *cells)
        logits = (np.round(logits / steps) * steps if steps else logits).astype(F)
        scales.append(ScaleMaps(logits[:-1].copy(), logits[-1].copy(), (height, width)))
    return scales


def assert_same(found: Proposals, expected: Any) -> None:
    np.testing.assert_array_equal(found.windows, expected.windows)
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.grids, expected.grids)
    masks = [found.mask(i) for i in range(len(found))]
    assert len(masks) == len(expected.masks) and all(map(np.array_equal, masks, expected.masks))


@pytest.mark.parametrize(
    "image, shorts, group, options",
    [
        ((60, 90), (40, 60, 100), 5, {}),
        ((60, 90), (40, 60, 100), 5, {"rule": "floor", "threshold": 0.3}),
        ((60, 90), (60, 90), 3, {"count": 7}),
        ((77, 51), (51,), 7, {"nms_threshold": 0.3, "threshold": 0.6}),
        ((40, 40), (64,), 1, {"window_size": 5, "stride": 4}),
        ((9, 300), (8, 20), 5, {}),
        ((1, 1), (8,), 5, {}),
        ((50, 70), (90,), 5, {"nms_threshold": 1.0, "count": 10000}),
    ],
)
def test_equals_the_plain_pipeline(image: tuple, shorts: tuple, group: int, options: dict) -> None:
    for seed in range(2):
        scales = draw(seed, image, shorts, group)
        if options.get("stride"):
            scales = [s._replace(size=(s.size[0] // 2, s.size[1] // 2)) for s in scales]
        found = instance_proposals(scales, image, **options)
        assert len(found)
        assert_same(found, plain_proposals(scales, image, **options, lazy=seed == 0))


@pytest.mark.parametrize("steps", [1.0, 4.0, 50.0])
def test_equal_scores_and_values_at_the_threshold(steps: float) -> None:
    """Scale by scale, then row by row; at 50 the sigmoid is exactly 0.5, 1 or nearly 0."""
    image = (64, 96)
    scales = draw(3, image, (32, 64, 128), steps=steps)
    found = instance_proposals(scales, image)
    assert len(set(found.scores.tolist())) < len(found)
    assert_same(found, plain_proposals(scales, image))


def test_visiting_ends_with_the_last_that_stays() -> None:
    image = (60, 90)
    scales = draw(1, image, (60, 120))
    everything = instance_proposals(scales, image, 1000)
    for count in (1, 2, 17):
        some = instance_proposals(scales, image, count)
        np.testing.assert_array_equal(some.boxes, everything.first(count).boxes)
        assert len(some.crops) == count == len(everything.first(count).crops)
    few = instance_proposals(scales, image, 1000, candidates=40)
    np.testing.assert_array_equal(few.boxes, everything.boxes[: len(few)])
    assert len(few) <= 40


def test_mirrored_maps_give_mirrored_proposals() -> None:
    """Distinct scores, and an image whose pixels lie on the map mirrored as well."""
    image = (64, 96)
    scales = draw(5, image, (64, 128))
    mirrored = [
        ScaleMaps(s.score_maps.reshape(5, 5, *s.objectness.shape)[:, ::-1, :, ::-1].reshape(s.score_maps.shape),
                  s.objectness[:, ::-1], s.size)
        for s in scales
    ]  # fmt: skip
    found, expected = instance_proposals(mirrored, image), instance_proposals(scales, image)
    assert len(found) == len(expected) > 20
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.boxes[:, [2, 1, 0, 3]], expected.boxes * [-1, 1, -1, 1] + [95, 0, 95, 0])
    for i in range(len(found)):
        np.testing.assert_array_equal(found.mask(i)[:, ::-1], expected.mask(i))


def test_codes_are_those_of_the_masks() -> None:
    found = instance_proposals(draw(2, (60, 90), (60,)), (60, 90), 30)
    assert found.codes() == [encode_mask(found.mask(i)) for i in range(len(found))]


def test_masks_without_a_pixel_are_dropped() -> None:
    scale = ScaleMaps(np.full((25, 8, 8), -9, F), np.zeros((8, 8), F), (64, 64))
    found = instance_proposals([scale], (64, 64))
    assert len(found) == 0 and found.codes() == [] and found.boxes.shape == (0, 4) and found.windows.shape == (0, 3)
    assert found.grids.shape == (0, 21, 21)


def test_a_diverged_network() -> None:
    """Windows without a score are left out, and what is no number is no object."""
    scale = draw(0, (64, 64), (64,))[0]
    scale.objectness[:4], scale.score_maps[3] = np.nan, np.nan
    found = instance_proposals([scale], (64, 64))
    assert len(found) and (found.windows[:, 1] >= 4).all() and np.isfinite(found.scores).all()


def maps(channels: int = 25, cells: tuple = (4, 4), objectness: tuple = (4, 4)) -> ScaleMaps:
    return ScaleMaps(np.zeros((channels, *cells), F), np.zeros(objectness, F), (32, 32))


@pytest.mark.parametrize(
    "scales, options, message",
    [
        ([], {}, "got 0 scales"),
        ([maps()], {"count": 0}, "count 0"),
        ([maps()], {"threshold": 0.0}, "threshold 0.0"),
        ([maps()], {"image": (0, 5)}, "image of 0 x 5"),
        ([maps()], {"rule": "round"}, "rule 'round' is none of centre, floor"),
        ([maps(24)], {}, "windows of 21 pixels .* cannot have 24 parts"),
        ([maps()], {"window_size": 20}, "windows of 20 pixels .* cannot have 25 parts"),
        ([maps()], {"window_size": 3}, "windows of 3 pixels"),
        ([maps(), maps(9)], {}, r"score maps \(9, 4, 4\) do not fit .* need \(25, H, W\)"),
        ([maps(objectness=(4, 5))], {}, r"do not fit objectness \(4, 5\)"),
    ],
)
def test_errors(scales: list, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        instance_proposals(scales, **{"image": (32, 32), **options})


def test_mxnet_is_not_needed() -> None:
    code = "import sys, fullconv.lib.mask.instance_proposals; sys.exit('mxnet' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
