"""VGG-16 in both generations of Caffe's files, and its transplant into FCN-32s."""

from __future__ import annotations

import re

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcn.symbols import FCN, NETWORKS, initial_params
from fullconv.lib.convert import caffe, surgery
from fullconv.lib.network.caffe.compose import compose


@pytest.fixture(scope="module")
def vgg(fcn_reference):
    return fcn_reference("vgg/vgg16-slim")


def load(fcn_dir, generation):
    return caffe.load(
        *(str(fcn_dir / "vgg" / f"vgg16-slim-{generation}.{kind}") for kind in ("prototxt", "caffemodel"))
    )


def forward(symbols, blobs, params, image):
    group = mx.sym.Group([symbols[blob] for blob in blobs])
    executor = group.simple_bind(mx.cpu(), grad_req="null", data=image.shape)
    executor.copy_params_from(
        {n: mx.nd.array(a) for n, a in {**params, "data": image}.items()}, allow_extra_params=True
    )
    return {blob: out.asnumpy() for blob, out in zip(blobs, executor.forward(is_train=False))}


@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_weights_and_forward(fcn_dir, vgg, generation):
    layers, params = load(fcn_dir, generation)
    recorded = [key for key in vgg if key.startswith("param_")]
    assert len(params) == len(recorded)
    for key in recorded:
        layer, index = key[len("param_") :].rsplit("_", 1)
        np.testing.assert_array_equal(params[f"{layer}_{('weight', 'bias')[int(index)]}"], vgg[key])
    image = np.kron(vgg["in_data_28x28_kron8"], np.ones((8, 8), np.float32))[None]
    blobs = [key[len("blob_") :] for key in vgg if key.startswith("blob_")]
    found = forward(compose(layers), blobs, params, image)
    for blob in blobs:
        expected = vgg[f"blob_{blob}"]
        scale = max(1, np.abs(expected).max() / 10)
        np.testing.assert_allclose(found[blob], expected, rtol=0, atol=1e-4 * scale, err_msg=blob)


def test_transplant_into_fcn32s(fcn_dir, vgg):
    _, old = load(fcn_dir, "v1")
    classes = vgg["fcn_score_fr_0"].shape[0]
    net = FCN(NETWORKS["voc-fcn32s"], [classes], width=len(old["conv1_1_weight"]) / 64, hidden=len(old["fc6_weight"]))
    params, log = surgery.transplant(initial_params(net), old)
    assert log == (fcn_dir / "vgg" / "transplant_log.txt").read_text().strip().splitlines()
    recorded = [match for match in (re.fullmatch(r"fcn_(\w+)_([01])", key) for key in vgg) if match]
    assert recorded
    for match in recorded:
        layer, index = match.groups()
        np.testing.assert_array_equal(params[f"{layer}_{('weight', 'bias')[int(index)]}"], vgg[match.group()])
    blobs = [key[len("fcn_blob_") :] for key in vgg if key.startswith("fcn_blob_")]
    found = forward(compose(net.layers), blobs, params, vgg["fcn_in_data"])
    for blob in blobs:
        expected = vgg[f"fcn_blob_{blob}"]
        scale = max(1, np.abs(expected).max() / 10)
        np.testing.assert_allclose(found[blob], expected, rtol=0, atol=1e-4 * scale, err_msg=blob)
