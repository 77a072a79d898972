"""The AlexNet trunk: groups, sizes, no stated multipliers."""

from __future__ import annotations

import pytest

from fullconv.lib.network.caffe import layer as rows
from fullconv.lib.network.caffe.alexnet import alexnet_fcn
from fullconv.lib.network.caffe.compose import compose


@pytest.mark.parametrize("width", [1.0, 0.125, 0.01])
def test_any_width_divides_into_groups(width):
    trunk = [rows.data("data", 3)] + alexnet_fcn("data", width=width, hidden=8)
    for size in ((1, 1), (97, 131)):
        _, (shape,), _ = compose(trunk)["fc7"].infer_shape(data=(1, 3) + size)
        assert shape[1] == 8 and min(shape) > 0
    assert all(layer.options["num_output"] % layer.options["group"] == 0 for layer in trunk if "group" in layer.options)


def test_no_multipliers_are_stated():
    assert all(layer.mults == () for layer in alexnet_fcn("data"))


def test_pooling_comes_before_normalisation():
    names = [layer.name for layer in alexnet_fcn("data")]
    assert names[:5] == ["conv1", "relu1", "pool1", "norm1", "conv2"]
