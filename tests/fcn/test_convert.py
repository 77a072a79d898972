"""Weights into FCN networks and out again, by function and by command."""

from __future__ import annotations

import os

import numpy as np
import pytest

from fullconv.fcn import convert
from fullconv.fcn.symbols import build, initial_params
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.core import checkpoint

SLIM = {"width": 1 / 16, "hidden": 8}
SLIM_ARGS = ["--width", "0.0625", "--hidden", "8"]


def exported(name, folder, seed, classes=(3,)):
    """A caffemodel of random weights, the network and the weights."""
    net = build(name, classes, **SLIM)
    params = initial_params(net, seed)
    rng = np.random.RandomState(seed)
    for key in params:
        if key.startswith("score"):
            params[key] = rng.randn(*params[key].shape).astype(np.float32)
    return convert.export(net, params, str(folder / f"{name}-{seed}"), 32, 32)[1], net, params


def test_stages_follow_each_other(tmp_path):
    """32s to 16s to 8s: everything learned is taken over, the new score starts at zero, upsampling is bilinear."""
    path, _, coarse = exported("voc-fcn32s", tmp_path, 1)
    net = build("voc-fcn16s", [3], **SLIM)
    params, log = convert.start_from(net, [path])
    assert "dropping upscore" in log and (params["score_fr_weight"] == coarse["score_fr_weight"]).all()
    assert not params["score_pool4_weight"].any()
    fresh = initial_params(net)
    assert all((params[name] == fresh[name]).all() for name in params if name.startswith("upscore"))
    assert {name: array.shape for name, array in params.items()} == net.param_shapes()


@pytest.mark.parametrize("learn_upsampling", [False, True])
def test_upsampling_that_has_learned_goes_on_where_it_learns(tmp_path, learn_upsampling):
    source = build("voc-fcn16s", [3], **SLIM)
    learned = {name: np.full_like(array, 0.25) for name, array in initial_params(source).items()}
    _, path = convert.export(source, learned, str(tmp_path / "learned"), 32, 32)
    net = build("voc-fcn8s", [3], learn_upsampling=learn_upsampling, **SLIM)
    params, _ = convert.start_from(net, [path])
    fresh = initial_params(net)
    expected = learned if learn_upsampling else fresh
    np.testing.assert_array_equal(params["upscore2_weight"], expected["upscore2_weight"])
    np.testing.assert_array_equal(params["upscore8_weight"], fresh["upscore8_weight"])


def test_other_classes_need_a_word(tmp_path):
    path, _, old = exported("voc-fcn32s", tmp_path, 1)
    net = build("voc-fcn32s", [5], **SLIM)
    with pytest.raises(ConvertError, match=r"score_fr 0 from \(3, 8, 1, 1\) to \(5, 8, 1, 1\)"):
        convert.start_from(net, [path])
    params, _ = convert.start_from(net, [path], skip=["score_fr", "upscore"])
    assert not params["score_fr_weight"].any() and (params["fc7_weight"] == old["fc7_weight"]).all()


def test_depth_and_two_streams(tmp_path):
    color_path, _, color = exported("nyud-fcn32s-color", tmp_path, 1)
    hha_path, _, hha = exported("nyud-fcn32s-hha", tmp_path, 2)
    depth, _ = convert.start_from(build("nyud-fcn32s-color-d", [3], **SLIM), [color_path])
    first = depth["conv1_1_bgrd_weight"]
    np.testing.assert_array_equal(first[:, :3], color["conv1_1_weight"])
    np.testing.assert_allclose(first[:, 3], color["conv1_1_weight"].mean(1), rtol=1e-6)
    net = build("nyud-fcn32s-color-hha", [3], **SLIM)
    joined, _ = convert.start_from(net, [color_path, hha_path])
    for suffix, source in (("color", color), ("hha", hha)):
        for name in source:
            layer, blob = name.rsplit("_", 1)
            if layer != "upscore":
                np.testing.assert_array_equal(joined[f"{layer}{suffix}_{blob}"], source[name])
    with pytest.raises(ConvertError, match="2 weight files are needed, 1 given"):
        convert.start_from(net, [color_path])


def test_commands(tmp_path, capsys):
    path, net, params = exported("voc-fcn8s", tmp_path, 1)
    prefix = str(tmp_path / "mx")
    assert convert.main(["import", "voc-fcn8s", path, prefix]) == 0
    again, loaded = convert.load_exactly("voc-fcn8s", f"{prefix}-0000.params")
    assert again.layers == net.layers and all((loaded[n] == params[n]).all() for n in params)
    out = str(tmp_path / "back")
    assert convert.main(["export", "voc-fcn8s", f"{prefix}-0000.params", out, "--size", "40", "50"]) == 0
    assert os.path.exists(f"{out}.prototxt")
    assert (convert.read_weights(f"{out}.caffemodel")["fc6_weight"] == params["fc6_weight"]).all()
    assert convert.main(["start", "voc-fcn8s-atonce", prefix, path, "--classes", "3", *SLIM_ARGS]) == 0
    assert "copying conv1_1  ->  conv1_1 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, message",
    [
        (["import", "voc-fcn9s", "{}", "x"], "no network named 'voc-fcn9s'; did you mean"),
        (["import", "voc-fcn32s", "{}", "x"], "unexpected"),
        (["import", "voc-fcn-alexnet", "{}", "x"], "not the parameters of voc-fcn-alexnet"),
        (["start", "voc-fcn-alexnet", "x", "{}", *SLIM_ARGS], "transplant: arrays of different sizes"),
        (["import", "voc-fcn8s", "absent.caffemodel", "x"], "absent.caffemodel: no such file"),
        (["import", "voc-fcn8s", "absent-0000.params", "x"], "absent-0000.params: no such file"),
    ],
)
def test_errors_are_one_message(tmp_path, capsys, words, message):
    path, _, _ = exported("voc-fcn8s", tmp_path, 1)
    assert convert.main([word.format(path) for word in words]) == 1
    text = capsys.readouterr().err
    assert text.startswith("error: ") and message in text and not os.path.exists("x-0000.params")


@pytest.mark.parametrize("name, width", [("voc-fcn32s", 0.1), ("voc-fcn8s", 0.13), ("voc-fcn-alexnet", 0.3)])
def test_a_network_of_any_width_is_taken_back(tmp_path, name, width):
    """What a training of this width saves, a test of it loads."""
    net = build(name, [3], width=width, hidden=5)
    params = initial_params(net)
    path = checkpoint.save_params(str(tmp_path / "net"), 0, net.test_symbol(), params, {})
    again, loaded = convert.load_exactly(name, path)
    assert again.layers == net.layers and again.width == pytest.approx(width, abs=0.01)
    assert all((loaded[key] == params[key]).all() for key in params)
