"""A network is recovered from its weights at every width and every number of hidden channels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from fullconv.fcn.symbols import NETWORKS, build, network_of
from fullconv.fcn.symbols.width import trunk_channels, width_of


class Shaped(NamedTuple):
    """All that is looked at of an array."""

    shape: tuple


def arrays(net):
    """First axes only, so that thousands of networks take seconds."""
    rows = [row for row in net.layers if row.type == "Convolution"]
    return {f"{row.name}_weight": Shaped((row.options["num_output"],)) for row in rows}


# Steps that are no round number of channels, and those that are halves of one.
WIDTHS = [*np.arange(0.05, 1.5, 0.01).round(2), *np.arange(0.05, 1.5, 1 / 1024)[::29], 1 / 64, 1 / 1024, 0.001, 2.5]


@pytest.mark.parametrize("name", ["voc-fcn32s", "voc-fcn-alexnet", "nyud-fcn32s-color-d", "nyud-fcn32s-color-hha"])
def test_every_width(name):
    for number, width in enumerate(WIDTHS):
        net = build(name, [1 + number % 5], width=float(width), hidden=1 + number)
        again = network_of(name, arrays(net))
        assert again.layers == net.layers, width


def test_every_hidden_size():
    for hidden in (*range(1, 80), 1000, 4095, 4096, 5000):
        net = build("voc-fcn8s", [2], width=0.3, hidden=hidden)
        assert network_of("voc-fcn8s", arrays(net)).layers == net.layers


@pytest.mark.parametrize("width", [0.1, 0.25, 0.3, 0.35, 0.4, 1.0])
def test_the_width_found_has_few_digits(width):
    network = NETWORKS["voc-fcn32s"]
    found = width_of(network, trunk_channels(network, width))
    assert abs(found - width) < 0.003 and len(str(found)) <= 5


@pytest.mark.parametrize("name", ["voc-fcn8s-atonce", "voc-fcn-alexnet", "siftflow-fcn16s"])
def test_the_weights_of_odd_widths_fit(name):
    """With all shapes, as a test of a training sees them."""
    for width in (0.1, 0.13, 0.4):
        net = build(name, width=width, hidden=7)
        shapes = {array: Shaped(shape) for array, shape in net.param_shapes().items()}
        assert network_of(name, shapes).param_shapes() == net.param_shapes()


def test_channels_of_no_width_are_listed():
    params = arrays(build("voc-fcn32s", width=0.1, hidden=4))
    params["conv3_2_weight"] = Shaped((27,))
    with pytest.raises(ValueError, match="not the parameters of voc-fcn32s: no network.width gives .* conv3_2 27"):
        network_of("voc-fcn32s", params)
