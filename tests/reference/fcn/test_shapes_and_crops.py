"""Every blob's size in Caffe for 23 image sizes, and every crop offset."""

from __future__ import annotations

import mxnet as mx

from fullconv.fcn.symbols import build
from fullconv.lib.network.caffe.compose import compose


def sizes(net, height, width):
    """(h, w) of every blob."""
    blobs = compose(net.layers)
    group = mx.sym.Group(list(blobs.values()))
    _, shapes, _ = group.infer_shape(**net.data_shapes(height, width))
    return {blob: tuple(shape[2:]) for blob, shape in zip(blobs, shapes)}


def test_blob_sizes(fcn_json, network):
    net = build(network, width=0.125, hidden=8)
    recorded = fcn_json("shapes_and_crops")["sizes"][network]
    for height, expected in recorded.items():
        frame = expected[next(iter(net.inputs))]
        assert frame[0] == int(height)
        found = sizes(net, *frame)
        assert {blob: found[blob] for blob in expected} == {blob: tuple(size) for blob, size in expected.items()}


def test_crop_offsets(fcn_json, network):
    crops = {
        layer.name: {"offset": [layer.options["offset"]], "axis": 2, "bottom": list(layer.bottoms)}
        for layer in build(network).layers
        if layer.type == "Crop"
    }
    assert crops == fcn_json("shapes_and_crops")["crops"][network]
