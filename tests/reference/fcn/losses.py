"""What a recorded loss of Caffe's is compared with, and how closely."""

from __future__ import annotations

import numpy as np

from fullconv.lib.evaluation.segmentation import softmax_loss

EXACT, RECORDED = 1e-6, 2e-5
"""Relative tolerances of a loss: against the float64 sum over the recorded scores, and against the value that Caffe
recorded. Caffe adds thousands of pixels in float32, so its own value is off by up to 1.1e-5."""


def exact_loss(score: np.ndarray, label: np.ndarray, normalization: str) -> float:
    """The loss in float64. score (N, C, H, W); label (N, 1, H, W) or (H, W), where 255 is ignored."""
    labels = np.broadcast_to(label.reshape((-1,) + label.shape[-2:]), (len(score),) + score.shape[2:])
    total = sum(softmax_loss(*pair) for pair in zip(score, labels))
    counted = int((labels != 255).sum())
    divisor = {"batch": len(score), "valid": max(counted, 1), "full": labels.size, "none": 1}[normalization]
    return total / divisor
