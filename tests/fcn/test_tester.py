"""Segmenting images of any size, whole and in pieces."""

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcn.model import segmenter
from fullconv.fcn.symbols import build, initial_params
from fullconv.fcn.tester import best_class, pieces

SLIM = {"width": 1 / 16, "hidden": 8}


def random_params(net, seed=0):
    """Weights with which every layer matters."""
    rng = np.random.RandomState(seed)
    params = initial_params(net, seed)
    for name in params:
        if name.startswith("score") or name.endswith("_bias"):
            params[name] = (rng.randn(*params[name].shape) * 0.3).astype(np.float32)
    return params


def random_image(net, height, width):
    rng = np.random.RandomState(1)
    return {n: (rng.randn(1, c, height, width) * 50).astype(np.float32) for n, c in net.inputs.items()}


@pytest.mark.parametrize(
    "name, tile", [("voc-fcn8s", 608), ("voc-fcn32s", 580), ("voc-fcn-alexnet", 480), ("nyud-fcn32s-color-hha", 576)]
)
def test_tiles_have_the_scores_of_the_whole(name, tile):
    net = build(name, [3], **SLIM)
    params, image = random_params(net), random_image(net, 333, 1111)
    whole = segmenter(net, params, mx.cpu(), tile=0)
    tiled = segmenter(net, params, mx.cpu(), tile=tile)
    assert len(pieces(1111, tile, tiled.form.margins)) > 3
    one, other = whole.scores(image)["label"], tiled.scores(image)["label"]
    assert one.std() > 1e-2 and one.shape == (3, 333, 1111)
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-6 * np.abs(one).max())
    np.testing.assert_array_equal(tiled.segment(image)["label"], best_class(other))
    assert (best_class(one) == best_class(other)).mean() > 0.9999


def test_tiles_in_both_directions():
    net = build("voc-fcn8s", [3], **SLIM)
    params, image = random_params(net), random_image(net, 720, 740)
    one = segmenter(net, params, mx.cpu()).scores(image)["label"]
    other = segmenter(net, params, mx.cpu(), tile=700).scores(image)["label"]
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-6 * np.abs(one).max())


@pytest.mark.parametrize("height, width", [(1, 1), (2, 300), (65, 33)])
def test_any_size_and_two_heads(height, width):
    net = build("siftflow-fcn8s", [4, 3], **SLIM)
    found = segmenter(net, random_params(net), mx.cpu(), (32, 32)).scores(random_image(net, height, width))
    assert found["sem"].shape == (4, height, width) and found["geo"].shape == (3, height, width)


@pytest.mark.parametrize("length, tile", [(1, 608), (608, 608), (609, 608), (5000, 608), (5000, 0)])
def test_pieces_cover_every_pixel_once(length, tile):
    margins = (245, 245)
    found = pieces(length, tile, margins)
    assert [p.kept.start for p in found] == [0] + [p.kept.stop for p in found[:-1]] and found[-1].kept.stop == length
    for piece in found:
        assert piece.given.start % 32 == 0 and (not tile or piece.given.stop - piece.given.start <= tile)
        assert piece.given.start == 0 or piece.kept.start - piece.given.start >= margins[0]
        assert piece.given.stop == length or piece.given.stop - piece.kept.stop >= margins[1]


def test_a_tile_too_small_says_which_is_the_least():
    with pytest.raises(ValueError, match="TEST.tile is 400; this network looks 245 pixels around, so 533 is the least"):
        pieces(1000, 400, (245, 245))
    pieces(1000, 533, (245, 245))


def test_the_first_of_equal_scores_wins():
    score = np.random.RandomState(0).randint(0, 4, (7, 20, 30)).astype(np.float32)
    np.testing.assert_array_equal(best_class(score), score.argmax(0))
    assert not best_class(np.zeros((3, 2, 2), np.float32)).any()


def test_normalised_networks_see_the_whole_image():
    """A normalised score depends on every pixel, so no tile size changes it."""
    net = build("voc-fcn8s", norm=True, **SLIM)
    image, params = random_image(net, 90, 700), random_params(net)
    whole = segmenter(net, params, mx.cpu()).scores(image)["label"]
    image_2 = {name: array.copy() for name, array in image.items()}
    image_2["data"][:, :, :, :8] = 0
    assert (whole[..., -8:] != segmenter(net, params, mx.cpu()).scores(image_2)["label"][..., -8:]).any()
    np.testing.assert_array_equal(segmenter(net, params, mx.cpu(), tile=64).scores(image)["label"], whole)
