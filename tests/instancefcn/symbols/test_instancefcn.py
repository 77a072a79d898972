"""The networks: sizes of maps and parameters that the paper states, and the baseline's sliding."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from fullconv.instancefcn import assembly
from fullconv.instancefcn import config as instancefcn_config
from fullconv.instancefcn.symbols.instancefcn import new_layers, test_symbol, train_symbol, window_spec
from fullconv.instancefcn.symbols.spec import LossSpec, WindowSpec


def numbers(symbol, layers, **inputs):
    shapes = dict(zip(symbol.list_arguments(), symbol.infer_shape(**inputs)[0]))
    return {layer: int(np.prod(shapes[f"{layer}_weight"])) for layer in layers}


def network(cfgs, name):
    return assembly.network_spec(instancefcn_config.load(str(cfgs / f"{name}.yaml")))


@pytest.mark.parametrize("k", [3, 5, 7])
def test_the_papers_network(cfgs, k):
    spec = network(cfgs, f"voc_instancefcn_k{k}")
    assert window_spec(spec) == WindowSpec(21, 8, 8)
    symbol = test_symbol(spec)
    shapes = symbol.infer_shape(data=(1, 3, 376, 504))[1]
    assert shapes == [(1, k * k, 47, 63), (1, 1, 47, 63)], "stride 8"
    assert numbers(symbol, ["mask_score"], data=(1, 3, 64, 64))["mask_score"] == 512 * 9 * k * k


def test_the_papers_baseline_has_53_million_numbers_on_top(cfgs):
    spec = network(cfgs, "voc_deepmask_crop224")
    assert window_spec(spec) == WindowSpec(56, 4, 16, -8)
    found = numbers(test_symbol(spec), new_layers(spec), data=(1, 3, 224, 224))
    assert found["mask_fc1"] + found["mask_fc2"] == 512 * 14 * 14 * 512 + 512 * 3136 == 52_985_856
    assert test_symbol(spec).infer_shape(data=(1, 3, 224, 224))[1] == [(1, 3136, 1, 1), (1, 1, 1, 1)]


def run(symbol, params, data):
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=data.shape)
    executor.copy_params_from(params, {}, allow_extra_params=True)
    return [out.asnumpy() for out in executor.forward(is_train=False, data=mx.nd.array(data))]


def test_the_baseline_slides_as_it_sees_crops(cfgs):
    """Without normalisation, which looks at all of an image, every place of an image gets what a crop there gets."""
    config = instancefcn_config.load(
        str(cfgs / "voc_deepmask_crop224.yaml"),
        {"network.WIDTH": 0.0625, "network.HIDDEN": 8, "network.DEEPMASK": [4, 8, 8, 16]},
    )
    spec = assembly.network_spec(config)
    symbol, rng = test_symbol(spec), np.random.RandomState(0)
    shapes = dict(zip(symbol.list_arguments(), symbol.infer_shape(data=(1, 3, 64, 64))[0]))
    params = {
        name: mx.nd.array(rng.randn(*shape) * (2 / max(np.prod(shape[1:]), 1)) ** 0.5)
        for name, shape in shapes.items()
        if name != "data"
    }
    # Convolutions of a crop see zeros around it, so only the heads can be compared: on maps cut out of the image's.
    heads = symbol.get_internals()
    body = heads["trunk_conv_relu_output"]
    data = rng.randn(1, 3, 128, 160).astype(np.float32)
    (map_,) = run(body, params, data)
    masks, scores = run(symbol, params, data)
    assert masks.shape == (1, 256, 5, 7) and scores.shape == (1, 1, 5, 7)
    for row, column in ((0, 0), (2, 3), (4, 6)):
        cut = map_[:, :, row : row + 4, column : column + 4]
        fc1 = np.tensordot(params["mask_fc1_weight"].asnumpy(), cut[0], 3) + params["mask_fc1_bias"].asnumpy()
        fc2 = params["mask_fc2_weight"].asnumpy()[:, :, 0, 0] @ fc1 + params["mask_fc2_bias"].asnumpy()
        np.testing.assert_allclose(masks[0, :, row, column], fc2, rtol=1e-3, atol=1e-4)
        pooled = cut[0].reshape(8, 2, 2, 2, 2).max((2, 4))
        hidden = np.tensordot(params["score_fc1_weight"].asnumpy(), pooled, 3) + params["score_fc1_bias"].asnumpy()
        for layer in ("score_fc2", "score_fc3"):
            weight, bias = (params[f"{layer}_{part}"].asnumpy() for part in ("weight", "bias"))
            hidden = weight[:, :, 0, 0] @ np.maximum(hidden, 0) + bias
        np.testing.assert_allclose(scores[0, :, row, column], hidden, rtol=1e-3, atol=1e-4)


def test_training_takes_a_batch_as_its_images(slim):
    """Losses of two images together are the mean of theirs alone."""
    symbol = train_symbol(assembly.network_spec(slim(network__HIDDEN=16)), LossSpec())
    rng = np.random.RandomState(0)
    batch = {
        "data": rng.randn(2, 3, 64, 64) * 50,
        "labels": rng.randint(-1, 2, (2, 1, 8, 8)),
        "windows": np.array([[[0, 3, 4], [0, 0, 0], [-1, -1, -1]], [[1, 7, 7], [1, 2, 2], [1, 5, 5]]]),
        "masks": rng.randint(-1, 2, (2, 3, 15, 15)),
    }
    batch["masks"][0, 2] = -1
    shapes = {name: array.shape for name, array in batch.items()}
    params = {
        name: mx.nd.array(rng.randn(*shape) * 0.1)
        for name, shape in zip(symbol.list_arguments(), symbol.infer_shape(**shapes)[0])
        if name not in batch
    }

    def outputs(arrays):
        executor = symbol.simple_bind(
            mx.cpu(), grad_req="null", **{name: array.shape for name, array in arrays.items()}
        )
        executor.copy_params_from(params, {})
        found = executor.forward(is_train=False, **{name: mx.nd.array(array) for name, array in arrays.items()})
        return np.array([out.asscalar() for out in found[:2]])

    singles = []
    for image in range(2):
        one = {name: array[image : image + 1].copy() for name, array in batch.items()}
        one["windows"][..., 0] = np.minimum(one["windows"][..., 0], 0)
        singles.append(outputs(one))
    np.testing.assert_allclose(outputs(batch), np.mean(singles, axis=0), rtol=1e-4)
