"""Caffe files of others as they lie on the net: imported, they compute what OpenCV computes from them."""

from __future__ import annotations

import cv2
import mxnet as mx
import numpy as np
import pytest

from fullconv.fcn import solver
from fullconv.lib.convert import caffe
from fullconv.lib.convert.errors import ConvertError

FILES = {
    "mtcnn/det1": ("det1.prototxt", "det1.caffemodel"),
    "mtcnn/det2": ("det2.prototxt", "det2.caffemodel"),
    "mtcnn/det3": ("det3.prototxt", "det3.caffemodel"),
    "mtcnn/det4": ("det4.prototxt", "det4.caffemodel"),
    "vdsr/deploy": ("VDSR_net_deploy.prototxt", "VDSR_Adam.caffemodel"),
    "vdsr/train": ("VDSR_net.prototxt", "VDSR_Adam.caffemodel"),
}


@pytest.mark.parametrize("name", FILES)
def test_outputs_are_opencvs(data_dir, name):
    paths = [str(data_dir / "caffe" / name.split("/")[0] / file) for file in FILES[name]]
    layers, params = caffe.load(*paths, size=(40, 41) if "vdsr" in name else None)
    shape = (1, *caffe.read_network(paths[0]).shapes["data"][1:])
    shape = (1, layers[0].options["channels"], 40, 41) if "vdsr" in name else shape
    image = np.random.RandomState(0).rand(*shape).astype(np.float32)
    symbol = caffe.symbol(layers)
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=shape)
    executor.copy_params_from({key: mx.nd.array(array) for key, array in params.items()})
    ours = {out.split("_output")[0]: a.asnumpy() for out, a in zip(symbol.list_outputs(), executor.forward(data=image))}
    if name == "vdsr/train":
        deploy = caffe.load(str(data_dir / "caffe/vdsr/VDSR_net_deploy.prototxt"), paths[1], size=(40, 41))[1]
        assert all((deploy[key] == array).all() for key, array in params.items()) and deploy.keys() == params.keys()
        return
    net = cv2.dnn.readNetFromCaffe(*paths)
    net.setInput(image, "data")
    for blob, theirs in zip(ours, net.forward(list(ours))):
        np.testing.assert_allclose(ours[blob], theirs.reshape(ours[blob].shape), rtol=0, atol=1e-4)
        assert np.abs(theirs).max() > 1e-3


def test_a_layer_of_a_fork_is_named(data_dir):
    with pytest.raises(ConvertError, match="layer 'bn0_1' .line 53.: type 'BN' is not supported; known types: AbsVal"):
        caffe.load_network(str(data_dir / "caffe" / "enet" / "enet_deploy_final.prototxt"))


def test_a_solver_of_another_network(data_dir):
    text = solver.to_yaml(str(data_dir / "caffe" / "vdsr" / "VDSR_solver.prototxt"))
    assert "optimizer: adam" in text and "none of the published networks" in text
