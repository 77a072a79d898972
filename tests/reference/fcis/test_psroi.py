"""PSROIPooling: every recorded case, forward and backward, to the last bit."""

from __future__ import annotations

from typing import Callable, Dict

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.operators.psroi_pooling import psroi_pooling


@pytest.fixture(scope="module")
def recorded(fcis_reference: Callable[[str], Dict[str, np.ndarray]]) -> Dict[str, np.ndarray]:
    return fcis_reference("psroi")


def test_forward_and_backward(recorded: Dict[str, np.ndarray]) -> None:
    cases = [key[: -len("_data")] for key in recorded if key.endswith("_data")]
    assert cases
    for case in cases:
        get = {key[len(case) + 1 :]: array for key, array in recorded.items() if key.startswith(f"{case}_")}
        output_dim, group_size, pooled_size, spatial_scale = get["args"]
        data, rois = mx.nd.array(get["data"]), mx.nd.array(get["rois"])
        data.attach_grad()
        with mx.autograd.record():
            out = psroi_pooling(data, rois, spatial_scale, int(output_dim), int(pooled_size), int(group_size))
        out.backward(mx.nd.array(get["grad_out"]))
        np.testing.assert_array_equal(out.asnumpy(), get["out"], err_msg=case)
        np.testing.assert_array_equal(data.grad.asnumpy(), get["grad_in"], err_msg=case)


def test_same_as_the_builtin(recorded: Dict[str, np.ndarray]) -> None:
    """MXNet's own CPU operator on the recorded inputs."""
    for case in [key[: -len("_data")] for key in recorded if key.endswith("_data")]:
        output_dim, group_size, pooled_size, spatial_scale = recorded[f"{case}_args"]
        data, rois = mx.nd.array(recorded[f"{case}_data"]), mx.nd.array(recorded[f"{case}_rois"])
        sizes = {"output_dim": int(output_dim), "pooled_size": int(pooled_size), "group_size": int(group_size)}
        results = []
        for operator in (psroi_pooling, mx.nd.contrib.PSROIPooling):
            data.attach_grad()
            with mx.autograd.record():
                out = operator(data, rois, spatial_scale=spatial_scale, **sizes)
            out.backward(out)
            results.append((out.asnumpy(), data.grad.asnumpy()))
        for ours, theirs in zip(*results):
            np.testing.assert_array_equal(ours, theirs, err_msg=case)
