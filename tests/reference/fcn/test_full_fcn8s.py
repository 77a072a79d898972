"""FCN-8s at its published size (134 million parameters, weights from the recorded recipe) against Caffe."""

from __future__ import annotations

import importlib.util

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcn.symbols import network_of
from fullconv.lib.network.caffe.compose import compose


@pytest.fixture(scope="module")
def recipe(fcn_dir):
    """The recorded recipe as a module."""
    spec = importlib.util.spec_from_file_location("recipe", fcn_dir / "recipe_full_fcn8s.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def weights(recipe):
    params = {}
    for name, weight, bias in recipe.weights():
        params[f"{name}_weight"] = mx.nd.array(weight)
        if bias is not None:
            params[f"{name}_bias"] = mx.nd.array(bias)
    return params


def test_full_width(fcn_reference, recipe, weights):
    arrays = fcn_reference("full/voc-fcn8s-full")
    for name, probe in zip(arrays["param_names"], arrays["param_probe"]):
        weight = weights[f"{name}_weight"].reshape(-1)
        np.testing.assert_allclose([weight[0].asscalar(), weight[-1].asscalar()], probe[1:], rtol=1e-6)
    image = recipe.image(*arrays["in_data"].shape[2:])
    np.testing.assert_array_equal(image, arrays["in_data"])
    blobs = [key[len("shape_") :] for key in arrays if key.startswith("shape_")]
    symbols = compose(network_of("voc-fcn8s", weights).layers)
    group = mx.sym.Group([symbols[blob] for blob in blobs])
    executor = group.simple_bind(mx.cpu(), grad_req="null", data=image.shape)
    executor.copy_params_from({**weights, "data": mx.nd.array(image)})
    for blob, output in zip(blobs, executor.forward(is_train=False)):
        check_blob(blob, output.asnumpy(), arrays)


def check_blob(blob, found, arrays):
    """Shape, statistics, samples and, where recorded, all of it."""
    assert found.shape == tuple(arrays[f"shape_{blob}"])
    expected = arrays[f"val_{blob}"]
    atol = 1e-4 if "score" in blob else max(1e-4, 1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(found.ravel()[arrays[f"idx_{blob}"]], expected, rtol=0, atol=atol, err_msg=blob)
    exact = found.astype(np.float64)
    statistics = [exact.mean(), exact.std(), exact.min(), exact.max(), np.abs(exact).sum()]
    np.testing.assert_allclose(statistics, arrays[f"stat_{blob}"], rtol=1e-4, atol=1e-4, err_msg=blob)
    if f"blob_{blob}" in arrays:
        np.testing.assert_allclose(found, arrays[f"blob_{blob}"], rtol=0, atol=1e-4, err_msg=blob)
    if blob == "score":
        np.testing.assert_array_equal(found[0].argmax(0), arrays["argmax"])
        np.testing.assert_allclose(found[0, :, 40:48, 60:76], arrays["score_slice"], rtol=0, atol=1e-4)
