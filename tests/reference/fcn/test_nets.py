"""The fifteen networks against Caffe: forward passes at two sizes, losses, gradients, and the files themselves."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fullconv.lib.convert import caffe
from fullconv.lib.network.caffe.layer import without
from tests.reference.fcn.losses import EXACT, RECORDED


def test_scores_and_blobs(slim_network, network):
    slim = slim_network(network)
    full = [key[5:] for key in slim.arrays if key.startswith("blob_") and "loss" not in key]
    coarse = [key[5:] for key in slim.arrays if key.startswith("sub4_")]
    found = slim.forward(slim.images(), full + coarse)
    for blob in full:
        expected = slim.arrays[f"blob_{blob}"]
        # Scores to 1e-4 as they stand; maps inside the trunk reach hundreds and carry float32's relative error.
        atol = 1e-4 if "score" in blob else max(1e-4, 1e-5 * np.abs(expected).max())
        np.testing.assert_allclose(found[blob], expected, rtol=0, atol=atol, err_msg=blob)
    for blob in coarse:
        expected = slim.arrays[f"sub4_{blob}"]
        np.testing.assert_allclose(found[blob][..., ::4, ::4], expected, rtol=0, atol=1e-4, err_msg=blob)
    for head in slim.net.heads:
        expected = slim.arrays[f"blob_{head.score}"]
        assert (found[head.score].argmax(1) == expected.argmax(1)).mean() > 0.9999


def test_scores_at_another_size(slim_network, network):
    slim = slim_network(network)
    scores = [key[9:] for key in slim.arrays if key.startswith("alt_blob_")]
    found = slim.forward(slim.images("alt_in_"), scores)
    assert set(scores) == {head.score for head in slim.net.heads}
    for score in scores:
        np.testing.assert_allclose(found[score], slim.arrays[f"alt_blob_{score}"], rtol=0, atol=1e-4)


def test_loss_and_gradients(slim_network, network):
    slim = slim_network(network, dropout=0)
    executor = slim.bind(slim.net.train_symbol(), {**slim.images(), **slim.labels()}, grad_req="write")
    outputs = [output.asnumpy() for output in executor.forward(is_train=True)]
    for head, loss, exact in zip(slim.net.heads, outputs, slim.exact_losses()):
        np.testing.assert_allclose(loss, exact, rtol=EXACT)
        np.testing.assert_allclose(loss, slim.arrays[f"blob_{head.loss}"], rtol=RECORDED)
    executor.backward()
    for key in slim.arrays:
        layer = re.fullmatch(r"grad_(\w+)_(\d)_idx", key.replace("-", "_"))
        if layer:
            name = f"{layer.group(1)}_{('weight', 'bias')[int(layer.group(2))]}"
            check_samples(executor.grad_dict[name].asnumpy(), slim.arrays, key[: -len("_idx")])
    for name in slim.net.inputs:
        expected = slim.arrays[f"grad_in_{name}"]
        np.testing.assert_allclose(
            executor.grad_dict[name].asnumpy(), expected, rtol=0, atol=1e-4 * np.abs(expected).max()
        )


def check_samples(gradient, arrays, key):
    """Sampled gradients to 1e-4 of the largest, and (sum, sum of magnitudes, sum of squares) of all."""
    expected, stats = arrays[f"{key}_val"], arrays[f"{key}_stat"]
    scale = max(np.abs(expected).max(), np.sqrt(stats[2] / gradient.size))
    np.testing.assert_allclose(
        gradient.ravel()[arrays[f"{key}_idx"]], expected, rtol=0, atol=1e-4 * scale + 1e-9, err_msg=key
    )
    exact = gradient.astype(np.float64)
    found = [exact.sum(), np.abs(exact).sum(), np.square(exact).sum()]
    np.testing.assert_allclose(found[1:], stats[1:], rtol=1e-4, err_msg=key)
    np.testing.assert_allclose(found[0], stats[0], atol=1e-4 * stats[1] + 1e-9, err_msg=key)


@pytest.mark.parametrize("form", ["deploy", "train"])
def test_the_recorded_prototxt_says_the_same_layers(slim_network, fcn_dir, network, form):
    """Names, types, connections, sizes, crop offsets and multipliers of every layer, read from Caffe's own file."""
    net = slim_network(network).net
    if form == "deploy":
        theirs = caffe.load_network(str(fcn_dir / "nets" / f"{network}.prototxt"))
        assert without(theirs, "Dropout") == without(net.layers, "Dropout")
        return
    theirs = caffe.load_network(str(fcn_dir / "nets" / f"{network}.train.prototxt"), phase="TRAIN")
    ours = net.train_layers()
    assert len(ours) == len(theirs)
    assert {layer.name: layer for layer in ours} == {layer.name: layer for layer in theirs}


def test_losses_of_the_summary(slim_network, fcn_json, network):
    slim, summary = slim_network(network), fcn_json("nets/summary")[network]
    assert sum(int(np.prod(array.shape)) for array in slim.params.values()) == summary["params"]
    for name, value in summary["loss"].items():
        np.testing.assert_allclose(slim.arrays[f"blob_{name}"], value, rtol=1e-6)
