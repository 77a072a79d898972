"""Pixelwise softmax loss with Caffe's normalisations.

`SoftmaxOutput` is not used: with `multi_output` and normalisation `null` or `batch` it silently divides the gradient by
the number of pixels, which changes from image to image.
"""

from __future__ import annotations

import mxnet as mx

NORMALIZATIONS = ("none", "batch", "full", "valid")
"""Divisor of the summed loss: 1, images (Caffe's `normalize: false`), labels, labels not ignored (Caffe's default)."""


def pixel_softmax_loss(
    score: mx.sym.Symbol, label: mx.sym.Symbol, normalization: str, ignore_label: int = 255, name: str = "loss"
) -> mx.sym.Symbol:
    """Cross entropy of scores (N, C, H, W) with labels (N, 1, H, W), a (1,) output whose gradient is its own.

    Pixels labelled `ignore_label` count for nothing; with `valid`, an image of nothing else has loss and gradient 0.
    Other labels outside 0..C-1 must not come: they are taken as the nearest class.

    Raises:
        ValueError: unknown normalisation.
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization={normalization!r}: known are {', '.join(NORMALIZATIONS)}")
    counted = mx.sym.BlockGrad(label != ignore_label)
    log_probability = mx.sym.log_softmax(score, axis=1)
    # `pick` takes the last class for a label beyond it, such as 255; `counted` then takes it out.
    picked = mx.sym.pick(log_probability, mx.sym.BlockGrad(label), axis=1, keepdims=True)
    total = -mx.sym.sum(picked * counted)
    return mx.sym.MakeLoss(total / _divisor(label, counted, normalization), name=name)


def _divisor(label: mx.sym.Symbol, counted: mx.sym.Symbol, normalization: str) -> mx.sym.Symbol:
    """A (1,) symbol without gradient; labels are counted from their shape, so any image size does."""
    if normalization == "valid":
        # At least 1, so that an image without a counted pixel gives 0 and not 0/0, in Caffe too.
        return mx.sym.broadcast_maximum(mx.sym.sum(counted), mx.sym.ones(shape=(1,)))
    if normalization == "none":
        return mx.sym.ones(shape=(1,))
    ones = mx.sym.BlockGrad(mx.sym.ones_like(label))
    if normalization == "full":
        return mx.sym.sum(ones)
    # One for every image: only the shape at run time says how many there are.
    return mx.sym.sum(mx.sym.max(ones, axis=(1, 2, 3)))
