"""The numbers that arrays have before any training (the original's, layer by layer)."""

from __future__ import annotations

from typing import Tuple

import numpy as np

Shape = Tuple[int, ...]


def initial(name: str, shape: Shape, prior: float, rng: np.random.RandomState) -> np.ndarray:
    """First values of an array of the network. prior: class probability that the last layer starts with."""
    if name.endswith(("_scale", "_running_var")) or (name.endswith("_weight") and len(shape) == 1):
        return np.ones(shape, np.float32)  # factors of normalisations and of levels
    if name.startswith("rpn.head.cls_logits_bias"):
        # Every location starts with few objects, or the background would swamp the first updates.
        return np.full(shape, -np.log((1 - prior) / prior), np.float32)
    if not name.endswith("_weight"):
        return np.zeros(shape, np.float32)
    return _weight(name, shape, rng).astype(np.float32)


def _weight(name: str, shape: Shape, rng: np.random.RandomState) -> np.ndarray:
    """Of a convolution (O, I / groups, h, w)."""
    fan_in = int(np.prod(shape[1:]))
    if name.endswith(".conv_weight"):
        # A deformable convolution itself, which none of the rules below is applied to.
        return rng.uniform(-1, 1, shape) / np.sqrt(fan_in)
    if name.startswith("rpn.head."):
        return rng.normal(0, 0.01, shape)
    if ".features." in name:  # MobileNetV2
        return rng.normal(0, np.sqrt(2 / (shape[2] * shape[3] * shape[0])), shape)
    return rng.uniform(-1, 1, shape) * np.sqrt(3 / fan_in)
