"""The VGG-16 trunk: names, widths, sizes."""

from __future__ import annotations

import pytest

from fullconv.lib.network.caffe import layer as rows
from fullconv.lib.network.caffe.compose import compose
from fullconv.lib.network.caffe.vgg16 import scaled, vgg16_fcn


def expected_size(n):
    """The sheet's rule: pad by 198, halve five times rounding up, minus 6."""
    n += 198
    for _ in range(5):
        n = -(-n // 2)
    return n - 6


@pytest.mark.parametrize("size", [(1, 1), (2, 31), (97, 131), (500, 375)])
def test_sizes(size):
    trunk = [rows.data("data", 3)] + vgg16_fcn("data", width=1 / 16, hidden=8)
    _, (shape,), _ = compose(trunk)["fc7"].infer_shape(data=(2, 3) + size)
    assert shape == (2, 8, expected_size(size[0]), expected_size(size[1]))


def test_suffix_reaches_every_name():
    trunk = vgg16_fcn("hha_image", suffix="hha", first="conv1_1_bgrd")
    assert trunk[0].name == "conv1_1_bgrdhha" and trunk[0].bottoms == ("hha_image",)
    assert all(layer.name.endswith("hha") and layer.top.endswith("hha") for layer in trunk)


def test_dropout_can_be_left_out():
    types = [layer.type for layer in vgg16_fcn("data", ratio=0.0)]
    assert "Dropout" not in types and types.count("Convolution") == 15


def test_width():
    assert [scaled(64, 1.0), scaled(64, 1 / 16), scaled(64, 1e-9), scaled(96, 1 / 8, 2)] == [64, 4, 1, 12]
