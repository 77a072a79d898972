"""Backbone and pyramid of FCOS against the original's, with its weights by its names."""

from dataclasses import replace

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.network.fpn import FPN, FPNSpec
from fullconv.lib.network.resnet import ResNet
from fullconv.lib.network.resnet_spec import RESNETS

SLIM = replace(RESNETS["R-50"], stem=4, outputs=16, group_width=4)
GROUPED = replace(SLIM, groups=4, group_width=2, stride_in_1x1=False)
CASES = {
    "r50_slim": (SLIM, False),
    "r50_slim_oddsize": (SLIM, False),
    "x50_slim_useC5": (GROUPED, True),
    "r50_dcnv1_slim": (replace(SLIM, deformable=(0, 0, 1, 1), stride_in_1x1=False), False),
    "r50_dcnv2_slim": (replace(SLIM, deformable=(0, 2, 2, 2)), False),
}


@pytest.mark.parametrize("case", CASES)
def test_maps(case, reference_dir):
    with np.load(reference_dir / "fcos" / f"g_backbone_{case}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    spec, use_c5 = CASES[case]
    pyramid = FPN(ResNet(spec), FPNSpec(channels=32, top_from_body=use_c5)).features(mx.sym.Variable("data"))
    maps = {name: feature.symbol for name, feature in pyramid.items()}
    below = mx.sym.Group(list(maps.values())).get_internals()
    for layer, units in enumerate(spec.units, 1):
        maps[f"C{layer + 1}"] = below[f"backbone.body.layer{layer}.{units - 1}.sum_relu_output"]
    executor = mx.sym.Group(list(maps.values())).simple_bind(mx.cpu(), grad_req="null", data=arrays["x"].shape)
    weights = {"_".join(f"backbone.{key[2:]}".rsplit(".", 1)): a for key, a in arrays.items() if key.startswith("w/")}
    ours = {**executor.arg_dict, **executor.aux_dict}
    assert set(ours) - {"data"} == set(weights)
    for name, array in weights.items():
        ours[name][:] = array
    outputs = executor.forward(data=mx.nd.array(arrays["x"]))
    for name, output in zip(maps, outputs):
        expected = arrays[name]
        np.testing.assert_allclose(
            output.asnumpy(), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max(), err_msg=name
        )
