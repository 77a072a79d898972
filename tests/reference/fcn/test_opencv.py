"""An independent engine: what we export, OpenCV's dnn module runs with the same scores."""

from __future__ import annotations

import cv2
import numpy as np

from fullconv.lib.convert import caffe
from fullconv.lib.network.caffe.layer import without

TOLERANCE = 1e-3


def opencv_scores(paths, slim, images):
    net = cv2.dnn.readNetFromCaffe(*paths)
    for name, image in images.items():
        net.setInput(image, name)
    names = [head.score for head in slim.net.heads]
    return dict(zip(names, net.forward(names)))


def test_exported_network_runs_in_opencv(slim_network, network, tmp_path):
    slim = slim_network(network)
    layers = without(slim.net.layers, "Dropout")
    images = slim.images()
    shapes = {name: image.shape for name, image in images.items()}
    paths = caffe.export(layers, slim.params, str(tmp_path / network), shapes)
    for name, scores in opencv_scores(paths, slim, images).items():
        ours = slim.forward(images, [name])[name]
        np.testing.assert_allclose(scores, ours, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(scores, slim.arrays[f"blob_{name}"], rtol=0, atol=TOLERANCE)
    assert caffe.load_network(paths[0]) == layers
    again = caffe.load(*paths)[1]
    assert again.keys() == slim.params.keys()
    assert all((again[name] == slim.params[name]).all() for name in again)


def test_one_file_serves_every_image_size(slim_network, network, tmp_path):
    slim = slim_network(network)
    shapes = {name: image.shape for name, image in slim.images().items()}
    paths = caffe.export(without(slim.net.layers, "Dropout"), slim.params, str(tmp_path / "net"), shapes)
    for name, scores in opencv_scores(paths, slim, slim.images("alt_in_")).items():
        np.testing.assert_allclose(scores, slim.arrays[f"alt_blob_{name}"], rtol=0, atol=TOLERANCE)


def test_no_channel_is_swapped_on_the_way(slim_network, fcn_dir, network):
    """First-layer weights are the file's own, colour (BGR) and HHA alike, as OpenCV reads them independently."""
    slim = slim_network(network)
    files = [str(fcn_dir / "nets" / f"{network}.{kind}") for kind in ("prototxt", "caffemodel")]
    net = cv2.dnn.readNetFromCaffe(*files)
    first = [row.name for row in slim.net.layers if row.type == "Convolution" and row.options["pad"] == 100]
    for layer in first:
        np.testing.assert_array_equal(slim.params[f"{layer}_weight"], net.getParam(layer, 0))


def test_channel_order_matters(slim_network, network):
    """The recorded scores are far from those of reversed channels, so the comparisons above would notice a swap."""
    slim = slim_network(network)
    reversed_images = {name: image[:, ::-1].copy() for name, image in slim.images().items()}
    head = slim.net.heads[0].score
    assert np.abs(slim.forward(reversed_images, [head])[head] - slim.arrays[f"blob_{head}"]).max() > 0.1
