"""What each normalisation computes, from numbers, and what makes none."""

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.network.norm import FIXED, FIXED_WITHOUT_EPS, TORCH_ARRAYS, NormSpec, norm_of, normalize

SHAPE = (2, 6, 5, 4)


def run(spec, train=False, relu=None, **arrays):
    """(output, running averages after it, arrays it had) of random data."""
    symbol = normalize(mx.sym.Variable("data"), spec, "norm", SHAPE[1], relu, **arrays)
    executor = symbol.simple_bind(mx.cpu(), data=SHAPE)
    rng = np.random.RandomState(0)
    values = {}
    for name, array in sorted({**executor.arg_dict, **executor.aux_dict}.items()):
        values[name] = (rng.rand(*array.shape) + 0.1).astype(np.float32)
        # Small variances show whether something is added to them.
        values[name] *= 1e-4 if name.endswith("var") else 1
        array[:] = values[name]
    out = executor.forward(is_train=train)[0].asnumpy()
    if train:
        executor.backward(mx.nd.ones(SHAPE))
        # The averages move in the backward pass, and MXNet's engine does not know that it writes them.
        mx.nd.waitall()
    return out, {n: a.asnumpy() for n, a in executor.aux_dict.items()}, values


def scaled(data, mean, variance, gamma, beta):
    shape = (1, -1, 1, 1)
    normal = (data - np.reshape(mean, shape)) / np.sqrt(np.reshape(variance, shape))
    return normal * np.reshape(gamma, shape) + np.reshape(beta, shape)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("spec, eps", [(FIXED, 1e-5), (FIXED_WITHOUT_EPS, 0)])
def test_fixed_uses_the_statistics_of_the_file_always(spec, eps, train):
    out, states, v = run(spec, train)
    mean, variance = v["norm_moving_mean"], v["norm_moving_var"]
    expected = scaled(v["data"], mean, variance.astype(float) + eps, v["norm_gamma"], v["norm_beta"])
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(states["norm_moving_mean"], mean)
    np.testing.assert_array_equal(states["norm_moving_var"], variance)


@pytest.mark.parametrize("momentum", [0.9, 0.99])
def test_batch_uses_the_batch_and_keeps_averages(momentum):
    out, states, v = run(NormSpec("batch", momentum=momentum), train=True)
    mean, variance = v["data"].mean((0, 2, 3)), v["data"].var((0, 2, 3))
    np.testing.assert_allclose(
        out, scaled(v["data"], mean, variance + 1e-5, v["norm_gamma"], v["norm_beta"]), atol=1e-5
    )
    expected = momentum * v["norm_moving_mean"] + (1 - momentum) * mean
    np.testing.assert_allclose(states["norm_moving_mean"], expected, rtol=1e-5)


@pytest.mark.parametrize("spec, groups", [(NormSpec("group", group_size=2), 3), (NormSpec("group", groups=2), 2)])
@pytest.mark.parametrize("relu", [None, "relu"])
def test_group_looks_at_each_image_alone(spec, groups, relu):
    out, states, v = run(spec, relu=relu)
    parts = v["data"].reshape(SHAPE[0], groups, -1)
    normal = (parts - parts.mean(2, keepdims=True)) / np.sqrt(parts.var(2, keepdims=True) + 1e-5)
    expected = scaled(normal.reshape(SHAPE), 0, 1, v["norm_gamma"], v["norm_beta"])
    np.testing.assert_allclose(out, np.maximum(expected, 0) if relu else expected, atol=1e-5)
    assert not states


@pytest.mark.parametrize("spec", [FIXED, NormSpec("batch"), NormSpec("group", groups=3)])
def test_arrays_take_the_names_of_the_files(spec):
    data = mx.sym.Variable("data")
    symbol = normalize(data, spec, "body.bn1", 6, "after", arrays=TORCH_ARRAYS)
    states = [] if spec.kind == "group" else ["body.bn1_running_mean", "body.bn1_running_var"]
    assert symbol.list_arguments() == ["data", "body.bn1_weight", "body.bn1_bias"]
    assert symbol.list_auxiliary_states() == states
    mine = {"gamma": mx.sym.Variable("factor", lr_mult=3.0, shape=(6,)), "beta": mx.sym.Variable("rest", shape=(6,))}
    symbol = normalize(data, spec, "n", 6, variables=mine)
    assert symbol.list_arguments() == ["data", "factor", "rest"]
    assert symbol.attr_dict()["factor"]["lr_mult"] == "3.0"


def test_norms_of_a_config():
    assert norm_of(False, 0) == FIXED and not FIXED.trained
    assert norm_of(True, 0) == NormSpec("batch", momentum=0.99) and norm_of(True, 0).trained
    assert norm_of(False, 4) == norm_of(True, 4) == NormSpec("group", group_size=4)
    assert [NormSpec("group", group_size=16).groups_of(channels) for channels in (64, 16, 8)] == [4, 1, 1]


@pytest.mark.parametrize(
    "values, message",
    [
        ({"kind": "layer"}, "normalisation 'layer': known are fixed, batch, group"),
        ({"kind": "group"}, "'group' with group_size=0 and groups=0: kind 'group' takes one of them"),
        ({"kind": "group", "groups": 2, "group_size": 3}, "group_size=3 and groups=2"),
        ({"kind": "batch", "groups": 2}, "'batch' with group_size=0 and groups=2"),
    ],
)
def test_what_makes_no_normalisation_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        NormSpec(**values)
