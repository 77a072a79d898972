"""Crop offsets against where impulses land."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.convert.surgery import upsample_filt
from fullconv.lib.network.caffe import layer as rows
from fullconv.lib.network.caffe.compose import compose
from fullconv.lib.network.caffe.coordinates import aligned_crop, coordinate_maps


@pytest.mark.parametrize("pad, kernel", [(5, 4), (9, 4), (13, 8)])
def test_a_blob_comes_back_to_its_place(pad, kernel):
    """Average down by kernel/2, upsample bilinearly, crop: a bright spot's centre of mass stays where it was."""
    stride = kernel // 2
    layers = [
        rows.data("data", 1),
        rows.convolution("down", "data", 1, stride, stride, pad=pad, bias=False),
        rows.deconvolution("up", "down", 1, kernel, stride),
    ]
    layers.append(aligned_crop(layers, "score", "up", "data"))
    image = np.zeros((1, 1, 40, 44), np.float32)
    image[0, 0, 16:24, 20:28] = 1
    executor = compose(layers)["score"].simple_bind(mx.cpu(), data=image.shape)
    executor.arg_dict["data"][:] = image
    executor.arg_dict["down_weight"][:] = 1 / stride**2
    executor.arg_dict["up_weight"][:] = upsample_filt(kernel)[None, None]
    found = executor.forward()[0].asnumpy()[0, 0]
    centre = [np.average(np.arange(n), weights=found.sum(1 - axis)) for axis, n in enumerate(found.shape)]
    np.testing.assert_allclose(centre, [19.5, 23.5], atol=1e-4)


def test_what_cannot_be_aligned_is_refused():
    layers = [rows.data("data", 1), rows.convolution("half", "data", 1, 2), rows.max_pooling("pool", "half", 2, 2)]
    with pytest.raises(ValueError, match="score: half would have to be cropped by -1/2 pixels to fit data"):
        aligned_crop(layers, "score", "half", "data")
    with pytest.raises(ValueError, match="score: pool and data have steps of 2 and 1 input pixels"):
        aligned_crop(layers, "score", "pool", "data")
    layers.append(rows.inner_product("fc", "pool", 3))
    with pytest.raises(ValueError, match="blob 'fc' is not a map of the input's pixels"):
        aligned_crop(layers, "score", "fc", "data")


def test_crop_shifts_the_map():
    layers = [rows.data("a", 1), rows.data("b", 1), rows.crop("c", "a", "b", 3)]
    assert tuple(coordinate_maps(layers)["c"]) == ((1, 3), (1, 3))
