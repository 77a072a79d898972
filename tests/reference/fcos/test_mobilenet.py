"""MobileNetV2 with its pyramid against the original's, in training and in testing."""

from __future__ import annotations

from typing import Callable, Dict

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.convert.state_dict import ours, theirs
from fullconv.lib.core.joint_batch import JointBatch
from fullconv.lib.network.fpn import FPN, FPNSpec
from fullconv.lib.network.mobilenet_v2 import MAPS, MobileNetV2, MobileNetV2Spec

LEVELS = ("P3", "P4", "P5", "P6", "P7")
MEAN, VARIANCE = "_running_mean", "_running_var"


def network() -> mx.sym.Symbol:
    body = MobileNetV2(MobileNetV2Spec(width=0.25))
    maps = body.features(mx.sym.Variable("data"))
    assert list(maps) == list(MAPS) and [m.channels for m in maps.values()] == [6, 8, 24, 80]
    pyramid = FPN(body, FPNSpec(channels=32)).features(mx.sym.Variable("data"))
    return mx.sym.Group([pyramid[p].symbol for p in LEVELS])


def bind(arrays: Dict[str, np.ndarray], grad_req: str) -> mx.executor.Executor:
    executor = network().simple_bind(mx.cpu(), grad_req=grad_req, data=arrays["x"].shape)
    names = {**executor.arg_dict, **executor.aux_dict}
    weights = {ours(f"backbone.{key[2:]}") for key in arrays if key.startswith("w/") and "num_batches" not in key}
    assert set(names) - {"data"} == weights
    for name, array in names.items():
        array[:] = arrays["x"] if name == "data" else arrays[f"w/{theirs(name)[len('backbone.') :]}"]
    return executor


def compare(executor: mx.executor.Executor, arrays: Dict[str, np.ndarray], mode: str) -> None:
    for p, output in zip(LEVELS, executor.forward(is_train=mode == "train")):
        expected = arrays[f"{mode}/{p}"]
        atol = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(output.asnumpy(), expected, rtol=1e-3, atol=atol, err_msg=p)


def places(symbol: mx.sym.Symbol, shape: tuple) -> Dict[str, int]:
    """Numbers per channel that each batch norm sees, by the layer's name."""
    inner = symbol.get_internals()
    _, outputs, _ = inner.infer_shape(data=shape)
    shapes = dict(zip(inner.list_outputs(), outputs))
    return {
        n[: -len("_output")]: s[0] * s[2] * s[3] for n, s in shapes.items() if n.endswith("_output") and len(s) == 4
    }


def test_training_and_testing(fcos_reference: Callable) -> None:
    """The statistics were recorded after the step, so those of testing, which came before it, are worked out.

    Its averages take PyTorch's variance, over n - 1 numbers; MXNet's take the one over n.
    """
    arrays = fcos_reference("g_backbone_mnv2_w025")
    training = bind(arrays, "write")
    for array in training.aux_dict.values():
        array[:] = 0  # so that one step leaves a tenth of the batch's
    compare(training, arrays, "train")
    training.backward([mx.nd.zeros_like(output) for output in training.outputs])  # which is when MXNet averages
    testing, seen = bind(arrays, "null"), places(network(), arrays["x"].shape)
    for name, array in testing.aux_dict.items():
        layer, count = name.rsplit("_running", 1)[0], 1.0
        if name.endswith(VARIANCE):
            count = seen[layer] / (seen[layer] - 1)
        array[:] = (array - count * training.aux_dict[name]) / 0.9
    compare(testing, arrays, "eval")


@pytest.mark.parametrize("devices", [1, 2])
def test_joint_batch_norms(fcos_reference: Callable, devices: int) -> None:
    """Outputs and running averages of one step are PyTorch's, on two devices with half of the images each, too."""
    arrays = fcos_reference("g_backbone_mnv2_w025")
    images = np.split(arrays["x"], devices)
    joint = JointBatch(network(), {"data": images[0].shape}, devices)
    inputs = joint.together([{"data": part} for part in images])
    shapes = {name: array.shape for name, array in inputs.items()}
    contexts = [mx.cpu(device) for device in range(devices)]
    executor = joint.symbol.simple_bind(contexts[0], grad_req="null", group2ctx=joint.groups(contexts), **shapes)
    for name, array in {**executor.arg_dict, **executor.aux_dict}.items():
        key = f"w/{theirs(name)[len('backbone.') :]}"
        array[:] = inputs[name] if name in inputs else arrays[key]
    for array in executor.aux_dict.values():
        array[:] = 0  # so that one step leaves a tenth of the batch's
    outputs = executor.forward(is_train=True)
    for level, p in enumerate(LEVELS):
        found = np.concatenate([output.asnumpy() for output in outputs[level :: len(LEVELS)]])
        expected = arrays[f"train/{p}"]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max(), err_msg=p)
    # The recorded averages are those after the step; with what it left taken back, testing is as recorded before it.
    testing = bind(arrays, "null")
    for name, array in testing.aux_dict.items():
        array[:] = (arrays[f"train_after/{theirs(name)[len('backbone.') :]}"] - executor.aux_dict[name].asnumpy()) / 0.9
    compare(testing, arrays, "eval")
