"""Group normalisation with its ReLU, and deformable convolution, in the towers of the recorded heads."""

from __future__ import annotations

from typing import Callable, Dict

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.operators.deformable_conv import deformable_conv
from fullconv.lib.operators.group_norm import group_norm


def convolution(data: mx.nd.NDArray, weights: Dict[str, mx.nd.NDArray], name: str) -> mx.nd.NDArray:
    weight = weights[f"{name}.weight"]
    return mx.nd.Convolution(
        data, weight, weights[f"{name}.bias"], num_filter=weight.shape[0], kernel=(3, 3), pad=(1, 1)
    )


def deformable(data: mx.nd.NDArray, weights: Dict[str, mx.nd.NDArray], name: str) -> mx.nd.NDArray:
    predicted = convolution(data, weights, f"{name}.offset")
    offset, mask = (mx.nd.slice_axis(predicted, axis=1, begin=a, end=b) for a, b in ((0, 18), (18, 27)))
    parameters = {key: weights[f"{name}.conv.{key}"] for key in ("weight", "bias")}
    channels = parameters["weight"].shape[0]
    return deformable_conv(data, offset, mx.nd.sigmoid(mask), num_filter=channels, pad=(1, 1), **parameters)


def tower(data: mx.nd.NDArray, weights: Dict[str, mx.nd.NDArray], name: str) -> mx.nd.NDArray:
    """Convolution i of a tower is its module 3 i, the norm is the one behind it; a ReLU follows."""
    step = 0
    while any(key.startswith(f"{name}.{step}.") for key in weights):
        plain = f"{name}.{step}.weight" in weights
        data = (convolution if plain else deformable)(data, weights, f"{name}.{step}")
        gamma, beta = weights[f"{name}.{step + 1}.weight"], weights[f"{name}.{step + 1}.bias"]
        data = group_norm(data, 32, gamma=gamma, beta=beta, act="relu")
        step += 3
    assert step >= 6
    return data


@pytest.mark.parametrize("head", ["base_c32", "imprv_c32", "imprv_c64_2conv", "imprv_dcn_c32"])
def test_logits(fcos_reference: Callable, head: str) -> None:
    arrays = fcos_reference(f"d_head_{head}")
    weights = {key[2:]: mx.nd.array(array) for key, array in arrays.items() if key.startswith("w/")}
    for level in ("P3", "P4", "P5", "P6", "P7"):
        data = mx.nd.array(arrays[f"x_{level}"])
        found = convolution(tower(data, weights, "cls_tower"), weights, "cls_logits").asnumpy()
        expected = arrays[f"eval/logits_{level}"]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max(), err_msg=level)
