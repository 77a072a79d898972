"""Folding of the target normalisation into the regression weights, as the published checkpoints have it.

Training regresses (target - mean) / std. A checkpoint stores, next to the raw layer, a copy named `*_test`
whose output is already multiplied by std and shifted by mean.
"""

from __future__ import annotations

from typing import Sequence, Tuple

import numpy as np


def fold_bbox_normalization(
    weight: np.ndarray, bias: np.ndarray, means: Sequence[float], stds: Sequence[float]
) -> Tuple[np.ndarray, np.ndarray]:
    """Weights whose output is `raw * std + mean`.

    Args:
        weight: (k * d, C, kh, kw) convolution weight, k maps (positions) for each of d coordinates.
        bias: (k * d,).
        means: (d,) target means, the four numbers repeated for each regression class.
        stds: (d,) target standard deviations.

    Returns:
        weight and bias of the same shapes and types.

    Raises:
        ValueError: the number of outputs is not a multiple of d, or the arguments disagree.
    """
    # The original multiplies NDArrays, so the numbers take the type of the weights first.
    mean, std = np.asarray(means, dtype=weight.dtype), np.asarray(stds, dtype=weight.dtype)
    outputs = weight.shape[0]
    if mean.shape != std.shape or bias.shape != (outputs,) or outputs % len(std):
        raise ValueError(
            f"cannot fold means {mean.shape} and stds {std.shape} into weight {weight.shape} and bias "
            f"{bias.shape}: the outputs must be a multiple of the number of means"
        )
    repeats = outputs // len(std)
    # The positions of one coordinate are neighbours in the layer, so each number is repeated; tiling would mix them
    # up.
    scale, shift = np.repeat(std, repeats), np.repeat(mean, repeats)
    folded_weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    return folded_weight, bias * scale + shift
