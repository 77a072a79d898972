"""A trained FCN: its network in MXNet, or through an exported copy in another engine."""

from __future__ import annotations

from typing import Mapping, NamedTuple, Tuple

import mxnet as mx
import numpy as np

from fullconv.fcn.geometry import FIRST_STEP
from fullconv.fcn.symbols import FCN
from fullconv.fcn.tester import Form, Segmenter
from fullconv.lib.core.exported import exported_in
from fullconv.lib.core.predictor import Predictor
from fullconv.lib.engines.network import BY_MXNET, MXNET, Choice, Network
from fullconv.lib.export.network import Exportable
from fullconv.lib.network.caffe.receptive_field import reach


def margins(net: FCN) -> Tuple[int, int]:
    """Pixels in front of and behind a pixel that its scores depend on, at most."""
    # Heads of one network end alike, but the longest reach serves for all.
    reaches = [reach(net.layers, head.score, FIRST_STEP) for head in net.heads]
    return max(first for first, _ in reaches), max(last for _, last in reaches)


def form_of(net: FCN) -> Form:
    """How a network is used."""
    # With normalisation every score depends on the whole image.
    around = (0, 0) if net.norm else margins(net)
    return Form(tuple(net.inputs), tuple(head.label for head in net.heads), net.least_size, around, net.norm)


class Trained(NamedTuple):
    """A network with its parameters by name, exactly the network's (`fcn.convert.load_exactly`)."""

    net: FCN
    params: Mapping[str, np.ndarray]

    def exportable(self, metadata: Mapping[str, str]) -> Exportable:
        """The whole network; the scores of a label map called `label` are `label/scores`."""
        names = [f"{head.label}/scores" for head in self.net.heads]
        return Exportable(self.net.test_symbol(), self.params, self.net.inputs, names, metadata)

    def in_engine(self, choice: Choice, ctx: mx.Context, largest: Tuple[int, int], tile: int) -> Network:
        """The scores, computed as `choice` says. largest, tile: as of `segmenter`."""
        net = self.net
        if choice.engine != MXNET:
            return exported_in(self.exportable({}), choice)
        height, width = (max(net.least_size, min(side, tile) if tile > 0 else side) for side in largest)
        arrays = {name: mx.nd.array(value) for name, value in self.params.items()}
        return Predictor(net.test_symbol(), ctx, net.data_shapes(height, width), arrays, {})


def segmenter(
    net: FCN,
    params: Mapping[str, np.ndarray],
    ctx: mx.Context,
    largest: Tuple[int, int] = (1, 1),
    tile: int = 0,
    choice: Choice = BY_MXNET,
) -> Segmenter:
    """An FCN with given parameters. largest: (height, width) to reserve memory for; larger images work too."""
    form = form_of(net)
    tile = form.check_tile(tile)
    return Segmenter(Trained(net, params).in_engine(choice, ctx, largest, tile), form, tile)
