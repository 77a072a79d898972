"""Multi-label suppression against the recorded one: the rules alone, and as the middle of FCOS's post-processing."""

from __future__ import annotations

import re
from typing import Callable, Dict

import numpy as np

from fullconv.lib.nms.ml_nms import ml_nms


def test_rules(fcos_reference: Callable) -> None:
    arrays = fcos_reference("e_postprocess")
    thresholds = [key.split("_")[-1] for key in arrays if re.match(r"nmsrule/keep_", key)]
    assert len(thresholds) >= 3
    inputs = [arrays[f"nmsrule/{key}"] for key in ("boxes", "scores", "labels")]
    for threshold in thresholds:
        np.testing.assert_array_equal(ml_nms(*inputs, float(threshold)), arrays[f"nmsrule/keep_{threshold}"])


def candidates(arrays: Dict[str, np.ndarray], image: int) -> Dict[str, np.ndarray]:
    """What the five levels of one image have before suppression; sorted within a level, not as the original has it."""
    keys = [f"prenms/P{level}_im{image}_" for level in range(3, 8)]
    return {name: np.concatenate([arrays[key + name] for key in keys]) for name in ("boxes", "scores", "labels")}


def test_images(fcos_reference: Callable) -> None:
    """The recorded results are the best hundred of what stays, and those equal to the last of them."""
    arrays = fcos_reference("e_postprocess")
    for image, count in enumerate(arrays["default/n_final"]):
        found = candidates(arrays, image)
        keep = ml_nms(found["boxes"], found["scores"], found["labels"], 0.6)
        assert (np.diff(keep) > 0).all() and len(keep) >= count
        found = {name: array[keep] for name, array in found.items()}
        order = np.lexsort((*found["boxes"].T[1::-1], found["labels"], -found["scores"]))[:count]
        for name, array in found.items():
            np.testing.assert_array_equal(array[order], arrays[f"default/im{image}_{name}"], err_msg=f"{image} {name}")
