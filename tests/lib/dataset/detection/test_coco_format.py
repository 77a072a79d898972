"""Run-length codes and whole files that are wrong in ways nobody thought of."""

import contextlib
import copy
import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from fullconv.lib.dataset.detection.coco import Segmentations
from fullconv.lib.dataset.detection.coco_format import find_problems
from fullconv.lib.dataset.detection.run_lengths import RLEError, run_lengths

H, W = 13, 17


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_compressed_codes_agree_with_pycocotools(seed, density):
    mask = np.random.RandomState(seed).rand(H, W) < density
    code = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    runs = run_lengths(code, (H, W))
    assert runs.sum() == H * W
    np.testing.assert_array_equal(np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(W, H).T, mask)
    text = {"size": [H, W], "counts": code["counts"].decode()}
    np.testing.assert_array_equal(Segmentations([text], (H, W)).load()[0], mask)
    np.testing.assert_array_equal(Segmentations([{"size": [H, W], "counts": runs.tolist()}], (H, W)).load()[0], mask)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=12) | st.binary(max_size=12) | st.lists(st.integers(-5, 300), max_size=6))
def test_any_counts_are_right_or_refused(counts):
    with contextlib.suppress(RLEError):
        assert run_lengths({"size": [H, W], "counts": counts}, (H, W)).sum() == H * W


@pytest.mark.parametrize("size", [None, "ab", 5, [H], [H, W, 1], [W, H], {}])
def test_any_size_is_right_or_refused(size):
    with pytest.raises(RLEError, match="is not the image's"):
        run_lengths({"size": size, "counts": [H * W]}, (H, W))


VALUES = [
    None,
    True,
    -1,
    0,
    1e400,
    float("nan"),
    10**30,
    "",
    "x",
    [],
    [[]],
    {},
    [None] * 4,
    [[1, 2, 3, 4, 5, "6"]],
]


def _mutate(value, rng):
    """Replaces or removes one part of a nested structure."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.9:
        key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
        if rng.random() < 0.1:
            del value[key]
        else:
            value[key] = _mutate(value[key], rng)
        return value
    return copy.deepcopy(rng.choice(VALUES))


def test_mutated_files_never_crash():
    """Whatever passes the check can be rasterised."""
    good = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": H, "width": W}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [1, 1, 5, 5],
                "area": 9,
                "iscrowd": 0,
                "segmentation": s,
            }
            for s in ([[1, 1, 6, 1, 6, 6]], {"size": [H, W], "counts": [20, 30, 171]})
        ],
    }
    good["annotations"][1]["id"] = 2
    rng, accepted = random.Random(0), 0
    assert not find_problems(good)
    for _ in range(3000):
        data = copy.deepcopy(good)
        for key in rng.choices(list(good), k=rng.randint(1, 2)):
            data[key] = _mutate(data[key], rng)
            if not isinstance(data[key], list):
                data[key] = []
        problems = find_problems(json.loads(json.dumps(data)))
        if not any(problem.fatal for problem in problems):
            accepted += 1
            Segmentations([record["segmentation"] for record in data["annotations"]], (H, W)).load()
    assert 0 < accepted < 3000
