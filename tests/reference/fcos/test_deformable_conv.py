"""Deformable convolution against the recorded one: values and all gradients, and behind its offset convolution."""

from __future__ import annotations

from typing import Callable, Dict, List

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.operators.deformable_conv import deformable_conv

INPUTS = {"x": "data", "off": "offset", "mk": "mask", "w": "weight", "b": "bias"}


def close(found: np.ndarray, expected: np.ndarray, name: str) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max(), err_msg=name)


def test_operator(fcos_reference: Callable) -> None:
    """Groups, strides, dilation; some of the offsets are whole numbers, where the slope is the one to the right."""
    arrays = fcos_reference("k_dcn")
    cases = [key.split("/")[0] for key in arrays if "/params" in key]
    assert len(cases) >= 6
    for case in cases:
        kernel, stride, pad, dilate, groups, deformable_groups = map(int, arrays[f"{case}/params_k_s_p_d_g_dg"])
        given = {
            ours: mx.nd.array(arrays[f"{case}/{key}"]) for key, ours in INPUTS.items() if f"{case}/{key}" in arrays
        }
        for array in given.values():
            array.attach_grad()
        with mx.autograd.record():
            out = deformable_conv(
                **given,
                num_filter=given["weight"].shape[0],
                kernel=(kernel, kernel),
                stride=(stride, stride),
                pad=(pad, pad),
                dilate=(dilate, dilate),
                num_group=groups,
                num_deformable_group=deformable_groups,
                no_bias="bias" not in given,
            )
        out.backward(mx.nd.array(arrays[f"{case}/grad_out"]))
        close(out.asnumpy(), arrays[f"{case}/y"], case)
        for key, ours in INPUTS.items():
            if ours in given:
                close(given[ours].grad.asnumpy(), arrays[f"{case}/grad_{key}"], f"{case} {ours}")


def layer(data: mx.nd.NDArray, weights: Dict[str, mx.nd.NDArray]) -> mx.nd.NDArray:
    """The original's DFConv2d: a plain convolution predicts offsets and, if modulated, what becomes the mask."""
    offset_weight, weight = weights["offset.weight"], weights["conv.weight"]
    predicted = mx.nd.Convolution(
        data, offset_weight, weights["offset.bias"], num_filter=offset_weight.shape[0], kernel=(3, 3), pad=(1, 1)
    )
    modulated = offset_weight.shape[0] == 27
    return deformable_conv(
        data,
        mx.nd.slice_axis(predicted, axis=1, begin=0, end=18),
        mx.nd.sigmoid(mx.nd.slice_axis(predicted, axis=1, begin=18, end=27)) if modulated else None,
        num_filter=weight.shape[0],
        pad=(1, 1),
        no_bias="conv.bias" not in weights,
        weight=weight,
        bias=weights.get("conv.bias"),
    )


@pytest.mark.parametrize("case", ["df_v1", "df_v2"])
def test_layer(fcos_reference: Callable, case: str) -> None:
    arrays = fcos_reference("k_dcn")
    names: List[str] = [key.split("/")[2] for key in arrays if key.startswith(f"{case}/w/")]
    weights = {name: mx.nd.array(arrays[f"{case}/w/{name}"]) for name in names}
    data = mx.nd.array(arrays[f"{case}/x"])
    for array in (data, *weights.values()):
        array.attach_grad()
    with mx.autograd.record():
        out = layer(data, weights)
    out.backward(mx.nd.array(arrays[f"{case}/grad_out"]))
    close(out.asnumpy(), arrays[f"{case}/y"], "out")
    close(data.grad.asnumpy(), arrays[f"{case}/grad_x"], "data")
    for name in names:
        close(weights[name].grad.asnumpy(), arrays[f"{case}/gradw/{name}"], name)
