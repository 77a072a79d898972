"""instancefcn.tester: proposals of a whole image; a mirrored image has the mirrored ones."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from fullconv.instancefcn import assembly
from fullconv.instancefcn import config as instancefcn_config
from fullconv.instancefcn.symbols.instancefcn import test_symbol
from fullconv.instancefcn.tester import Detector, assembled
from fullconv.lib.core.matching import expected_shapes
from fullconv.lib.nms.nms import py_nms

SLIM = {"network.WIDTH": 0.0625, "network.HIDDEN": 8, "SCALES": [64, 96], "TEST.PROPOSALS": 40}


def symmetric(name, array, group):
    """Weights that do the same to a mirrored image: kernels their own mirror images, and the score maps of a row of
    positions those of its mirror image, the other way round."""
    if not name.endswith("_weight") and name != "mask_score_bias":
        return array
    mirror = array[..., ::-1] if array.ndim == 4 else array
    if name.startswith("mask_score"):
        mirror = mirror.reshape(group, group, *array.shape[1:])[:, ::-1].reshape(array.shape)
    return (array + mirror) / 2


@pytest.fixture(scope="module")
def detector(cfgs):
    """The paper's network, slim and symmetric, with k = 5, which does not divide 21."""
    config = instancefcn_config.load(str(cfgs / "voc_instancefcn_k5.yaml"), SLIM)
    network, rng = assembly.network_spec(config), np.random.RandomState(0)
    shapes = expected_shapes(test_symbol(network), data=(1, 3, 96, 128))
    params = {}
    for name, shape in sorted(shapes.items()):
        scale = 1 / 64 if name == "conv1_1_weight" else 1
        drawn = rng.randn(*shape) * scale * (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else rng.randn(*shape) / 9
        params[name] = mx.nd.array(symmetric(name, drawn, network.group))
    parts = network, assembly.input_spec(config), assembly.result_spec(config), (params, {})
    return Detector(*parts, mx.cpu(), (96, 128))


@pytest.fixture(scope="module")
def image():
    return np.random.RandomState(1).randint(0, 255, (64, 96, 3), np.uint8)


def test_a_mirrored_image_has_the_mirrored_result(detector, image):
    plain, mirrored = detector.maps(image), detector.maps(np.ascontiguousarray(image[:, ::-1]))
    for one, other in zip(plain, mirrored):
        np.testing.assert_allclose(one.objectness, other.objectness[:, ::-1], atol=1e-5)
        height, width = one.objectness.shape
        centres = np.argwhere(np.ones((height, width), bool))
        there = np.stack([centres[:, 0], width - 1 - centres[:, 1]], axis=1)
        masks = assembled(one.score_maps, detector.network, centres)
        np.testing.assert_allclose(masks, assembled(other.score_maps, detector.network, there)[:, :, ::-1], atol=1e-5)


def test_proposals(detector, image):
    found = detector.detect(image)
    assert 0 < len(found) <= 40 and (np.diff(found.scores) <= 0).all()
    boxes = found.boxes.astype(float)
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] < 96).all() and (boxes[:, 3] < 64).all()
    kept = py_nms(np.hstack([boxes, found.scores[:, None]]), 0.8)
    assert len(kept) == len(found), "none overlaps a better one by more"
    for number in range(min(5, len(found))):
        scale, row, column = found.windows[number]
        grid = assembled(detector.maps(image)[scale].score_maps, detector.network, np.array([[row, column]]))
        np.testing.assert_allclose(found.grids[number], grid[0], atol=1e-5)


def test_an_image_smaller_than_a_window(detector):
    tiny = np.random.RandomState(2).randint(0, 255, (3, 5, 3), np.uint8)
    found = detector.detect(tiny)
    assert all(found.mask(i).shape == (3, 5) and found.mask(i).any() for i in range(len(found)))


def test_images_one_after_the_other_are_as_alone(detector, image):
    other = np.random.RandomState(3).randint(0, 255, (80, 64, 3), np.uint8)
    alone = detector.detect(image)
    detector.detect(other)
    again = detector.detect(image)
    np.testing.assert_array_equal(alone.windows, again.windows)
    np.testing.assert_array_equal(alone.grids, again.grids)
