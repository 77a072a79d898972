"""Which inputs a score depends on, against what changes when an input does."""

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcn.symbols import build, initial_params
from fullconv.lib.network.caffe import layer as rows
from fullconv.lib.network.caffe.receptive_field import dependence, reach

LAYERS = [
    rows.data("data", 1),
    rows.convolution("conv", "data", 1, kernel=3, pad=1),
    rows.relu("relu", "conv"),
    rows.max_pooling("pool", "conv", kernel=2, stride=2),
    rows.deconvolution("up", "pool", 1, kernel=4, stride=2),
    rows.crop("score", "up", "data", 1),
]


def test_a_small_network_by_hand():
    # up x reads pool ceil((x - 3) / 2) .. floor(x / 2); pool reads two pixels, conv one more on either side.
    assert dependence(LAYERS, "pool", (0, 0)) == (-1, 2)
    assert dependence(LAYERS, "score", (0, 0)) == (-3, 2)
    assert dependence(LAYERS, "score", (1, 1)) == (-1, 4)
    assert reach(LAYERS, "score", 2) == (3, 3)


@pytest.mark.parametrize("name", ["voc-fcn8s", "voc-fcn32s"])
def test_no_input_farther_away_matters(name):
    net = build(name, [2], width=1 / 16, hidden=4)
    before, after = reach(net.layers, "score", 32)
    params = {n: np.abs(a) + 0.01 for n, a in initial_params(net).items()}  # nothing is cut off by a relu
    executor = net.test_symbol().simple_bind(mx.cpu(), grad_req="null", data=(1, 3, 8, 700))
    executor.copy_params_from({n: mx.nd.array(a) for n, a in params.items()})
    image = np.random.RandomState(0).rand(1, 3, 8, 700).astype(np.float32)
    score = [executor.forward(is_train=False, data=mx.nd.array(x))[0].asnumpy() for x in (image, changed(image))]
    differs = np.flatnonzero(np.any(score[0] != score[1], axis=(0, 1, 2)))
    assert len(differs) and 350 - after <= differs.min() <= 350 <= differs.max() <= 350 + before


def changed(image):
    image = image.copy()
    image[..., 350] += 100
    return image


def test_what_has_no_limit_is_refused():
    layers = [rows.data("data", 1), rows.inner_product("fc", "data", 2)]
    with pytest.raises(ValueError, match="fc.* reads the whole map"):
        dependence(layers, "fc", (0, 0))
    with pytest.raises(ValueError, match="'nothing' depends on no input"):
        dependence(layers, "nothing", (0, 0))
