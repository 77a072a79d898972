"""instancefcn.weights: what training starts from."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from fullconv.instancefcn.weights import Start, layer_of, start_weights
from fullconv.lib.core.params_file import CheckpointError

SHAPES = {
    "conv1_1_weight": (8, 3, 3, 3),
    "conv1_1_bias": (8,),
    "fc6_weight": (4, 8),
    "fc6_mask_weight": (4, 8),
    "mask_conv_weight": (8, 8, 1, 1),
    "mask_conv_norm_gamma": (8,),
    "mask_score_weight": (9, 8, 3, 3),
    "mask_score_bias": (9,),
}
NEW = ("fc6_mask", "mask_conv", "mask_score")


def start(path="", twins=None):
    return Start(path, NEW, ("mask_score",), twins or {})


def fresh(how, seed=0):
    arrays = start_weights(SHAPES, how, np.random.RandomState(seed), lambda line: None)
    return {name: array.asnumpy() for name, array in arrays.items()}


@pytest.fixture()
def file(tmp_path):
    """A file with the backbone, fc6, a mask_score of another k, and what an ImageNet model has besides."""
    names = ("conv1_1_weight", "conv1_1_bias", "fc6_weight")
    arrays = {f"arg:{name}": mx.nd.full(SHAPES[name], 3) for name in names}
    arrays.update({"arg:fc8_weight": mx.nd.ones((5, 4)), "arg:mask_score_weight": mx.nd.ones((25, 8, 3, 3))})
    path = str(tmp_path / "vgg16.params")
    mx.nd.save(path, arrays)
    return path


def test_from_nothing():
    found = fresh(start())
    assert found["conv1_1_weight"].std() == pytest.approx(np.sqrt(2 / 27), rel=0.2)
    assert found["mask_score_weight"].std() == pytest.approx(0.01, rel=0.2)
    assert not found["mask_score_bias"].any() and (found["mask_conv_norm_gamma"] == 1).all()
    again, other = fresh(start()), fresh(start(), 1)
    assert all((found[name] == again[name]).all() for name in SHAPES)
    assert (found["conv1_1_weight"] != other["conv1_1_weight"]).any()


def test_from_a_file(file):
    found = fresh(start(file))
    assert (found["conv1_1_weight"] == 3).all() and (found["fc6_weight"] == 3).all()
    for name in ("mask_conv_weight", "mask_score_weight", "fc6_mask_weight"):
        assert found[name].std() == pytest.approx(0.01, rel=0.4), "new, as published"
    twins = fresh(start(file, {"fc6_mask": "fc6"}))
    assert (twins["fc6_mask_weight"] == 3).all()


def test_what_is_missing_is_said(file, tmp_path):
    with pytest.raises(CheckpointError, match="no such file. Put the ImageNet model there"):
        fresh(start(str(tmp_path / "none.params")))
    mx.nd.save(file, {"arg:conv1_1_weight": mx.nd.ones(SHAPES["conv1_1_weight"])})
    with pytest.raises(CheckpointError, match="(?s)missing .*conv1_1_bias"):
        fresh(start(file))


def test_layers_of_arrays():
    assert layer_of("mask_conv_weight") == layer_of("mask_conv_norm_gamma") == "mask_conv"
