"""The fifteen networks as users build them: any size, any width, any classes; starting weights; training."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcn.symbols import FCN, NETWORKS, Classifier, build, initial_params, initial_statistics, network_of
from fullconv.lib.core.trainer import Trainer

SLIM = {"width": 1 / 16, "hidden": 8}

PUBLISHED_PARAMETERS = {
    "voc-fcn32s": 136_152_917,
    "voc-fcn16s": 134_815_994,
    "voc-fcn8s": 134_489_759,
    "voc-fcn8s-atonce": 134_490_527,
    "voc-fcn-alexnet": 58_704_590,
    "nyud-fcn32s-color": 140_978_024,
    "nyud-fcn32s-hha": 140_978_024,
    "nyud-fcn32s-color-d": 140_978_600,
    "nyud-fcn32s-color-hha": 275_402_448,
    "siftflow-fcn32s": 138_905_444,
    "siftflow-fcn16s": 135_568_424,
    "siftflow-fcn8s": 134_751_980,
    "pascalcontext-fcn32s": 149_251_964,
    "pascalcontext-fcn16s": 138_281_144,
    "pascalcontext-fcn8s": 135_589_364,
}


def bound(net, symbol, height, width, params, seed=0):
    shapes = net.data_shapes(height, width)
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", **shapes)
    rng = np.random.RandomState(seed)
    inputs = {name: mx.nd.array(rng.randn(*shape) * 50) for name, shape in shapes.items()}
    executor.copy_params_from({**{n: mx.nd.array(a) for n, a in params.items()}, **inputs})
    return executor


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_published_size(name):
    shapes = build(name).param_shapes()
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == PUBLISHED_PARAMETERS[name]


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_scores_have_the_image_s_size_from_one_pixel_on(name):
    net = build(name, **SLIM)
    params = initial_params(net)
    for size in ((1, 1), (2, 45), (33, 32)):
        for head, score in zip(net.heads, bound(net, net.test_symbol(), *size, params).forward()):
            assert score.shape == (1, head.classes) + size


@pytest.mark.parametrize("name", ["voc-fcn32s", "voc-fcn8s", "voc-fcn-alexnet"])
def test_crops_are_valid_for_every_size(name):
    """What is cropped always covers what it is cropped to, for heights 1 to 600 (beyond, all sizes repeat by 32)."""
    symbol, net = build(name, **SLIM).test_symbol(), build(name, **SLIM)
    for height in range(1, 601, 7):
        _, shapes, _ = symbol.infer_shape(**net.data_shapes(height, 601 - height))
        assert shapes[0][2:] == (height, 601 - height)


def test_upsampling_of_a_constant_is_constant():
    """Bilinear starting weights: inside, upsampled scores equal the scores (the borders fade)."""
    net = build("voc-fcn8s", [3], **SLIM)
    params = initial_params(net)
    for name in params:
        if name.startswith("score"):
            params[name][:] = 0
    params["score_fr_bias"][:] = [1, -2, 3]
    scores = bound(net, net.test_symbol(), 64, 64, params).forward()[0].asnumpy()
    inside = scores[0, :, 26:, 26:]
    np.testing.assert_allclose(inside, np.broadcast_to(np.float32([1, -2, 3])[:, None, None], inside.shape), rtol=1e-6)


def test_starting_weights():
    net = build("voc-fcn8s-atonce", [4], **SLIM)
    params = initial_params(net, seed=1)
    assert {name: array.shape for name, array in params.items()} == net.param_shapes()
    assert all(not array.any() for name, array in params.items() if name.startswith("score") or "bias" in name)
    assert (params["scale_pool4_weight"] == np.float32(0.01)).all()
    assert (params["scale_pool3_weight"] == np.float32(0.0001)).all()
    up = params["upscore8_weight"]
    assert not up[0, 1].any() and up[2, 2].any() and (up[0, 0] == up[3, 3]).all()
    again, other = initial_params(net, seed=1), initial_params(net, seed=2)
    assert all((again[name] == params[name]).all() for name in params)
    assert (other["conv1_1_weight"] != params["conv1_1_weight"]).any()


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_sizes_are_recovered_from_weights(name):
    heads = len(NETWORKS[name].heads)
    net = build(name, [7, 3][:heads], **SLIM)
    again = network_of(name, initial_params(net))
    assert again.layers == net.layers


def test_foreign_weights_are_refused():
    with pytest.raises(ValueError, match="not the parameters of voc-fcn-alexnet: conv1_weight is absent"):
        network_of("voc-fcn-alexnet", initial_params(build("voc-fcn32s", **SLIM)))


@pytest.mark.parametrize("learn_upsampling", [False, True])
@pytest.mark.parametrize("name", ["voc-fcn8s-atonce", "siftflow-fcn16s", "nyud-fcn32s-color-hha", "voc-fcn-alexnet"])
def test_a_step_trains_what_learns_and_nothing_else(name, learn_upsampling):
    options = {**SLIM, "learn_upsampling": learn_upsampling}
    net = build(name, [5, 3][: len(NETWORKS[name].heads)], dropout=0.0, **options)
    rng = np.random.RandomState(0)
    shapes = net.data_shapes(40, 48, labels=True)
    batch = {n: rng.randn(*shape).astype("float32") * 50 for n, shape in shapes.items()}
    batch.update({h.label: rng.randint(0, h.classes, shapes[h.label]).astype("float32") for h in net.heads})
    trainer = Trainer(net.train_symbol("valid"), [mx.cpu()], shapes, momentum=0.9)
    before = initial_params(net)
    for n in before:
        if n.startswith("score"):
            before[n] = rng.randn(*before[n].shape).astype("float32") * 0.1
    trainer.set_params({n: mx.nd.array(a) for n, a in before.items()}, {})
    outputs = []
    for _ in range(3):
        trainer.step([batch], 1e-6, lambda _, out: outputs.append([o.asnumpy() for o in out]))
    losses = [sum(o.sum() for o in out[: len(net.heads)]) for out in outputs]
    assert losses[2] < losses[0]
    assert [o.shape[1] for o in outputs[0][len(net.heads) :]] == [h.classes for h in net.heads]
    after = trainer.get_params()[0]
    fixed = {n for n in before if (after[n].asnumpy() == before[n]).all()}
    assert fixed == {n for n in before if n.startswith(("upscore", "scale")[learn_upsampling:])}


def test_ignored_pixels_and_labels_of_nothing_else():
    net = build("voc-fcn32s", [3], dropout=0.0, **SLIM)
    shapes = net.data_shapes(8, 9, labels=True)
    executor = net.train_symbol("valid").simple_bind(mx.cpu(), **shapes)
    executor.copy_params_from({n: mx.nd.array(a) for n, a in initial_params(net).items()})
    executor.arg_dict["label"][:] = 255
    loss = executor.forward(is_train=True)[0].asscalar()
    executor.backward()
    assert loss == 0 and not any(grad.asnumpy().any() for grad in executor.grad_dict.values())


def test_misspelled_names_and_impossible_sizes():
    with pytest.raises(KeyError, match="did you mean voc-fcn8s"):
        build("voc-fcn-8s")
    with pytest.raises(ValueError, match=r"one count per label map is expected \(sem, geo\)"):
        build("siftflow-fcn8s", [33])
    for wrong in ({"width": 0}, {"hidden": 0}, {"dropout": 1.0}, {"classes": [0]}):
        with pytest.raises(ValueError, match="make no network"):
            FCN(NETWORKS["voc-fcn32s"], **wrong)


@pytest.mark.parametrize("name", ["voc-fcn8s", "nyud-fcn32s-color-hha", "nyud-fcn32s-color-d"])
def test_normalised_trunk(name):
    """Every convolution of a trunk is normalised, the weights say so, and pixels' units do not matter any more."""
    net = build(name, [3], norm=True, **SLIM)
    params = initial_params(net)
    norms = [layer for layer in net.layers if layer.type == "GroupNorm"]
    assert len(norms) == 15 * len(net.network.streams)
    assert all(
        (params[f"{layer.name}_weight"] == 1).all() and not params[f"{layer.name}_bias"].any() for layer in norms
    )
    again = network_of(name, params)
    assert again.norm and again.layers == net.layers
    assert not network_of(name, initial_params(build(name, [3], **SLIM))).norm

    rng = np.random.RandomState(0)
    for array in params:
        if array.startswith("score"):
            params[array] = rng.randn(*params[array].shape).astype(np.float32)
    inputs = {n: rng.randn(1, c, 40, 50).astype(np.float32) * 50 for n, c in net.inputs.items()}
    executor = net.test_symbol().simple_bind(mx.cpu(), grad_req="null", **net.data_shapes(40, 50))
    executor.copy_params_from({n: mx.nd.array(a) for n, a in params.items()})
    scores = [executor.forward(**{n: a * f for n, a in inputs.items()})[0].asnumpy().copy() for f in (1, 7)]
    assert scores[0].std() > 0.01
    np.testing.assert_allclose(*scores, atol=1e-3)


@pytest.mark.parametrize("name", ["voc-fcn32s", "voc-fcn16s", "voc-fcn8s", "voc-fcn8s-atonce"])
def test_a_normalised_network_takes_any_size(name):
    """Its padding is small, and rounding up in the poolings must never leave a map too short to be added."""
    net = build(name, [3], norm=True, **SLIM)
    symbol = net.test_symbol()
    for size in range(net.least_size, 100):
        _, shapes, _ = symbol.infer_shape(**net.data_shapes(size, 2 * size + 1))
        assert shapes == [(1, 3, size, 2 * size + 1)]
    with pytest.raises(ValueError, match="b has 16x40 pixels .*17 are the least"):
        net.check_sizes(["a", "b"], [(17, 17), (16, 40)])
    build(name, [3], **SLIM).check_sizes(["a"], [(1, 1)])


def test_a_normalised_trunk_passes_channels_on_at_the_start():
    weight = initial_params(build("voc-fcn8s", [3], norm=True, width=0.125, hidden=16))["conv3_1_weight"]
    weight[np.arange(32), np.arange(32) % 16, 1, 1] -= 1
    assert abs(weight.std() - 0.5 * np.sqrt(2 / (16 * 9))) < 0.003
    plain = initial_params(build("voc-fcn8s", [3], width=0.125, hidden=16))["conv3_1_weight"]
    assert abs(plain[np.arange(32), np.arange(32) % 16, 1, 1].mean()) < 0.1


def test_the_classifier():
    """Its arrays are those of a normalised network, and one score comes of an image of any size."""
    net = Classifier(4, width=0.0625)
    symbol = net.train_symbol("valid")
    for size in (17, 32, 64, 65):
        _, shapes, _ = symbol.infer_shape(data=(5, 3, size, size), label=(5, 1, 1, 1))
        assert shapes == [(1,), (5, 4, 1, 1)]
    ours, theirs = net.param_shapes(), build("voc-fcn8s", [4], norm=True, **SLIM).param_shapes()
    trunk = {name for name in theirs if name.startswith("conv")}
    assert trunk == {name for name in ours if name.startswith("conv") and "moving" not in name}
    statistics = initial_statistics(net)
    assert len(statistics) == 26 and set(initial_params(net)) | set(statistics) == set(ours)
    assert all((a == name.endswith("_var")).all() for name, a in statistics.items())
    assert not initial_statistics(build("voc-fcn8s", [4], norm=True, **SLIM))


def test_alexnet_has_its_own_normalisation():
    with pytest.raises(ValueError, match=r"leave network\.norm off"):
        build("voc-fcn-alexnet", norm=True)
