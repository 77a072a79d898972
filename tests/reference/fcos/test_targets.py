"""Locations and targets against the recorded ones, to the last bit (centerness: the last but one)."""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.operators.fcos_target import fcos_target

STRIDES = (8, 16, 32, 64, 128)
CONFIGS = {
    "base": {},
    "norm": {"norm_reg_targets": True},
    "cs15": {"center_sampling_radius": 1.5},
    "cs15norm": {"center_sampling_radius": 1.5, "norm_reg_targets": True},
    "cs10norm": {"center_sampling_radius": 1.0, "norm_reg_targets": True},
}


class Targets(NamedTuple):
    labels: np.ndarray
    regression: np.ndarray
    centerness: np.ndarray


def level_sizes(image_hw: Sequence[int]) -> List[Tuple[int, int]]:
    return [tuple(-(-int(side) // stride) for side in image_hw) for stride in STRIDES]


def assign(gts: Sequence[np.ndarray], sizes: Sequence[Tuple[int, int]], config: str) -> Targets:
    """gts: boxes (n, 5) per image, padded here to one number of rows."""
    padded = -np.ones((len(gts), max(map(len, gts)) + 2, 5), np.float32)
    for image, boxes in zip(padded, gts):
        image[: len(boxes)] = boxes
    levels = [mx.nd.zeros((len(gts), 1, *size)) for size in sizes]
    return Targets(*(x.asnumpy() for x in fcos_target(mx.nd.array(padded), levels, STRIDES, **CONFIGS[config])))


def ground_truth(arrays: Dict[str, np.ndarray], case: str) -> np.ndarray:
    return np.column_stack([arrays[f"gt_{case}_boxes"], arrays[f"gt_{case}_labels"]]).astype(np.float32)


@pytest.mark.parametrize("config", CONFIGS)
def test_small(fcos_reference: Callable, config: str) -> None:
    arrays = fcos_reference("b_targets_small")
    sizes = level_sizes(arrays["image_hw"])
    assert [h * w for h, w in sizes] == arrays["num_points_per_level"].tolist()
    cases = [key[3:-6] for key in arrays if key.startswith("gt_") and key.endswith("_boxes")]
    assert len(cases) >= 5
    for case in cases:
        found = Targets(*(x[0] for x in assign([ground_truth(arrays, case)], sizes, config)))
        prefix = f"{case}__{config}__"
        np.testing.assert_array_equal(found.labels, arrays[prefix + "labels"], err_msg=case)
        positive = np.flatnonzero(found.labels)
        np.testing.assert_array_equal(positive, arrays[prefix + "pos"], err_msg=case)
        np.testing.assert_array_equal(found.regression[positive], arrays[prefix + "reg_pos"], err_msg=case)
        # The recorded square roots are the original's library's, which rounds a few of them the wrong way.
        np.testing.assert_array_max_ulp(found.centerness[positive], arrays[prefix + "ctr_pos"], 1)
        assert not found.regression[found.labels == 0].any() and not found.centerness[found.labels == 0].any()


@pytest.mark.parametrize("config", CONFIGS)
def test_large(fcos_reference: Callable, config: str) -> None:
    arrays = fcos_reference("b_targets_large")
    sizes = level_sizes(arrays["image_hw"])
    boxes = np.column_stack([arrays["gt_boxes"], arrays["gt_labels"]])
    found = Targets(*(x[0] for x in assign([boxes], sizes, config)))
    positive = np.flatnonzero(found.labels)
    np.testing.assert_array_equal(positive, arrays[f"{config}__pos"])
    np.testing.assert_array_equal(found.labels[positive], arrays[f"{config}__lab_pos"])
    ends = np.cumsum(arrays["num_points_per_level"])
    per_level = [int((found.labels[a:b] > 0).sum()) for a, b in zip([0, *ends], ends)]
    np.testing.assert_array_equal(per_level, arrays[f"{config}__npos_per_level"])
    if f"{config}__reg_pos" in arrays:
        np.testing.assert_array_equal(found.regression[positive], arrays[f"{config}__reg_pos"])


@pytest.mark.parametrize("config", CONFIGS)
def test_batch(fcos_reference: Callable, config: str) -> None:
    """Recorded level by level, then image by image; ours is image by image."""
    arrays = fcos_reference("b_targets_small")
    gts = [ground_truth(arrays, case) for case in ("random", "overlap", "none_positive")]
    found = assign(gts, level_sizes(arrays["image_hw"]), config)
    ends = np.cumsum(arrays["num_points_per_level"])
    spans = [slice(a, b) for a, b in zip([0, *ends], ends)]
    labels = [found.labels[:, span].ravel() for span in spans]
    for level, expected in enumerate(labels):
        np.testing.assert_array_equal(expected, arrays[f"batch3__{config}__labels_P{3 + level}"])
    regression = np.concatenate([found.regression[:, span].reshape(-1, 4) for span in spans])
    positive = np.flatnonzero(np.concatenate(labels))
    np.testing.assert_array_equal(positive, arrays[f"batch3__{config}__pos"])
    np.testing.assert_array_equal(regression[positive], arrays[f"batch3__{config}__reg_pos"])


@pytest.mark.parametrize("level", range(5))
def test_locations(fcos_reference: Callable, level: int) -> None:
    """The distances to one box that every location has inside give the locations away."""
    arrays = fcos_reference("a_locations")
    images = [key[len("sizes_") :] for key in arrays if key.startswith("sizes_")]
    assert images
    box = mx.nd.array([[[-4096, -4096, 4096, 4096, 1]]])
    for image in images:
        height, width = map(int, arrays[f"sizes_{image}"][level])
        regression = fcos_target(box, [mx.nd.zeros((1, 1, height, width))], STRIDES[level : level + 1], ())[1]
        found = regression.asnumpy()[0, :, :2] - 4096
        if f"loc_{image}_P{3 + level}" in arrays:
            np.testing.assert_array_equal(found, arrays[f"loc_{image}_P{3 + level}"])
        else:
            np.testing.assert_array_equal(found[:3], arrays[f"first3_{image}_P{3 + level}"])
            np.testing.assert_array_equal(found[-3:], arrays[f"last3_{image}_P{3 + level}"])
