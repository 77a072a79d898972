"""Images of a batch do not see each other, and a mirrored network sees a mirrored image as the network the image."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcn.symbols import FCN, build, initial_params

SLIM = {"width": 1 / 16, "hidden": 8}


def random_params(net: FCN) -> dict:
    rng = np.random.RandomState(0)
    params = initial_params(net)
    for name, array in params.items():
        if name.startswith("score") or name.endswith("_bias"):
            params[name] = (rng.randn(*array.shape) * 0.3).astype(np.float32)
    return params


def scores(net: FCN, params: dict, data: np.ndarray) -> np.ndarray:
    executor = net.test_symbol().simple_bind(mx.cpu(), grad_req="null", data=data.shape)
    executor.copy_params_from({name: mx.nd.array(array) for name, array in {**params, "data": data}.items()})
    return executor.forward()[0].asnumpy()


@pytest.mark.parametrize("name", ["voc-fcn32s", "voc-fcn8s"])
def test_a_batch_gives_what_its_images_give_alone(name: str) -> None:
    net = build(name, [3], **SLIM)
    params, images = random_params(net), np.random.RandomState(1).randn(2, 3, 40, 50) * 50
    both = scores(net, params, images)
    assert both.std() > 1e-2
    for k in range(2):
        alone = scores(net, params, images[k : k + 1])
        np.testing.assert_allclose(both[k : k + 1], alone, rtol=0, atol=1e-5 * max(1, np.abs(alone).max()))


@pytest.mark.parametrize("name", ["voc-fcn32s", "voc-fcn16s", "voc-fcn8s"])
@pytest.mark.parametrize("axis", [2, 3], ids=["upside down", "left and right"])
def test_mirrored(name: str, axis: int) -> None:
    """Exactly so at sizes that all of the strides divide evenly, 26 more than a multiple of 32: there no padding and no
    crop is wider on one side."""
    net = build(name, [3], **SLIM)
    params, image = random_params(net), np.random.RandomState(1).randn(1, 3, 58, 90) * 50
    turned = {key: np.flip(array, axis) if array.ndim == 4 else array for key, array in params.items()}
    expected = scores(net, params, image)
    found = np.flip(scores(net, turned, np.flip(image, axis)), axis)
    assert expected.std() > 1e-2
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * max(1, np.abs(expected).max()))
