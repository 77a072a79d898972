"""Every rule against MXNet, at sizes that do not divide and in batches."""

from __future__ import annotations

import json

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.export.errors import ExportError
from fullconv.lib.export.rules import RULES
from fullconv.lib.network.norm import NormSpec, normalize
from fullconv.lib.operators.deformable_conv import deformable_conv
from fullconv.lib.operators.group_norm import group_norm
from tests.lib.export.helpers import assert_same, exported, random_params

S, X = mx.sym, mx.sym.Variable("data")
CHANNELS, SIZES = 8, ((1, 9, 12), (2, 14, 7))


def conv(**options):
    return S.Convolution(X, **{"name": "c", "num_filter": 8, "kernel": (3, 3), **options})


def pool(kernel, stride, pad=(0, 0), kind="max", rule="full", **options):
    shape = {"kernel": kernel, "stride": stride, "pad": pad}
    return S.Pooling(X, name="p", pool_type=kind, pooling_convention=rule, **shape, **options)


def deformed(modulated, **options):
    groups = options.get("num_deformable_group", 1)
    offset = S.Convolution(X, name="o", num_filter=18 * groups, kernel=(3, 3), pad=(1, 1)) * 2
    mask = S.sigmoid(S.Convolution(X, name="m", num_filter=9 * groups, kernel=(3, 3), pad=(1, 1)))
    return deformable_conv(
        X, offset, mask if modulated else None, num_filter=8, pad=(1, 1), channels=8, name="d", **options
    )


def shared():
    """One weight at two places, one of them with a factor of its own."""
    weight, scale = S.Variable("w"), S.Variable("s", shape=(1,))
    shape = {"num_filter": 8, "kernel": (3, 3), "pad": (1, 1), "no_bias": True}
    once = S.Convolution(X, weight, name="once", **shape)
    twice = S.Convolution(once, weight, name="twice", **shape)
    return S.Group([twice, S.broadcast_mul(once, S.Reshape(scale, shape=(1, 1, 1, 1)))])


CASES = {
    "convolution": conv(pad=(1, 0), stride=(2, 1)),
    "convolution without bias": conv(no_bias=True),
    "dilated and grouped": conv(num_group=4, dilate=(2, 2), pad=(2, 2)),
    "deconvolution": S.Deconvolution(X, name="u", num_filter=6, kernel=(4, 4), stride=(2, 2), pad=(1, 1)),
    "deconvolution, groups and adj": S.Deconvolution(
        X, name="u", num_filter=8, kernel=(3, 3), stride=(2, 2), pad=(1, 1), adj=(1, 0), num_group=8
    ),
    "deformable": deformed(False),
    "deformable, modulated, no bias": deformed(True, no_bias=True),
    "deformable, modulated, groups": deformed(True, num_group=2, num_deformable_group=2),
    "fully connected": S.FullyConnected(S.mean(X, axis=(2, 3)), name="f", num_hidden=5),
    "fully connected, last axis": S.FullyConnected(
        S.transpose(X, axes=(0, 2, 3, 1)), name="f", num_hidden=5, flatten=False
    ),
    "folded norm": S.BatchNorm(conv(no_bias=True), name="n", fix_gamma=False, eps=1e-5),
    "folded norm without factor": S.BatchNorm(conv(), name="n", fix_gamma=True),
    "folded into deformable": normalize(deformed(True, no_bias=True), NormSpec(), "n", 8, "relu"),
    "norm alone": S.BatchNorm(X, name="n", fix_gamma=False, eps=1e-5) * 2,
    "norm of what others use": (lambda c: S.Group([S.BatchNorm(c, name="n", fix_gamma=False), c * 2]))(conv()),
    "norm of an output": (lambda c: S.Group([c, S.BatchNorm(c, name="n", fix_gamma=False)]))(conv()),
    "group norm": group_norm(X, 4, 8, name="g"),
    "group norm and relu": group_norm(X, 1, 8, name="g", act="relu", eps=1e-3),
    "instance norm": group_norm(X, 8, 8, name="g"),
    "pooling": pool((2, 2), (2, 2)),
    "pooling, padded": pool((3, 3), (2, 2), (1, 1)),
    "pooling, valid": pool((3, 3), (2, 2), (1, 1), rule="valid"),
    "pooling, stride 1": pool((3, 3), (1, 1), (1, 1)),
    "means": pool((3, 2), (2, 2), kind="avg"),
    "means, padded": pool((3, 3), (2, 2), (1, 1), "avg"),
    "means, padding not counted": pool((3, 3), (2, 2), (1, 1), "avg", count_include_pad=False),
    "means, valid": pool((3, 3), (2, 2), (1, 1), "avg", "valid"),
    "mean of the map": S.Pooling(X, name="p", global_pool=True, kernel=(1, 1), pool_type="avg"),
    "maximum of the map": S.Pooling(X, name="p", global_pool=True, kernel=(1, 1), pool_type="max"),
    "activations": S.Group([S.Activation(X, act_type=kind) for kind in ("relu", "sigmoid", "tanh", "softrelu")]),
    "leaky": S.Group([S.LeakyReLU(X, act_type="leaky", slope=0.1), S.LeakyReLU(X, act_type="elu", slope=0.5)]),
    "functions": S.Group([S.relu(X), S.sigmoid(X), S.exp(X), S.tanh(X), S.abs(X), S.square(X), S.log(X * X + 1)]),
    "numbers": S.Group([X + 2, X - 2, 2 - X, X * 3, X / 4, 1 / (S.abs(X) + 1), S.abs(X) ** 0.75, X > 0.5, X < 0.5]),
    "limits": S.Group([S.clip(X, 0, 6), S.maximum(X, 0), S.minimum(X, 1)]),
    "sums": S.Group([X + S.exp(X), X - S.exp(X), X * S.exp(X), X / S.exp(X), S.elemwise_add(X, X), S.add_n(X, X, X)]),
    "broadcasts": S.Group(
        [f(X, S.mean(X, axis=(2, 3), keepdims=True)) for f in (S.broadcast_add, S.broadcast_sub, S.broadcast_mul)]
    ),
    "reductions": S.Group([S.max(X, axis=1, keepdims=True), S.sum(X, axis=(2, 3)), S.mean(X, axis=1)]),
    "softmax": S.Group([S.softmax(X, axis=1), S.softmax(X), S.SoftmaxActivation(X, mode="channel")]),
    "softmax of rows": S.SoftmaxActivation(S.mean(X, axis=(2, 3))),
    "concat": S.concat(X, X * 2, dim=1),
    "crop": S.Crop(X, pool((2, 2), (2, 2)), offset=(1, 2), center_crop=False, num_args=2),
    "crop to a size": S.Crop(X, offset=(1, 2), h_w=(3, 4), num_args=1),
    "slice_like": S.slice_like(X, pool((2, 2), (2, 2)), axes=(2, 3)),
    "slice_axis": S.Group([S.slice_axis(X, axis=1, begin=2, end=5), S.slice_axis(X, axis=3, begin=1, end=None)]),
    "split": S.Group(list(S.split(X, num_outputs=4, axis=1))),
    "upsampling": S.UpSampling(X, scale=2, sample_type="nearest"),
    "upsampling and crop": S.slice_like(
        S.UpSampling(pool((2, 2), (2, 2)), scale=2, sample_type="nearest"), X, axes=(2, 3)
    ),
    "pad": S.Pad(X, mode="constant", pad_width=(0, 0, 0, 0, 1, 2, 3, 4), constant_value=-2.5),
    "new shapes": S.Group(
        [
            S.Reshape(X, shape=(0, 2, -1, 0)),
            S.Reshape(X, shape=(0, 8, -1)),
            S.Reshape(X, shape=(-4, -1, 1, 0, -3)),
            S.Reshape(X, shape=(0, -4, 2, -1, -2)),
            S.reshape_like(S.Flatten(X), X),
            S.expand_dims(X, axis=1),
        ]
    ),
    "nothing": S.Group([S.identity(X), S.BlockGrad(X), S.Dropout(X, p=0.5)]),
    "shared": shared(),
}


@pytest.fixture(autouse=True)
def operators_one_by_one(monkeypatch):
    """MXNet without its fusions, which fail to bind a normalisation of what has other users."""
    monkeypatch.setenv("MXNET_SUBGRAPH_BACKEND", "NONE")


@pytest.mark.parametrize("name", CASES)
def test_rule(name):
    params = random_params(CASES[name], data=(1, CHANNELS, 9, 12))
    rng = np.random.RandomState(1)
    feeds = [{"data": rng.randn(n, CHANNELS, h, w).astype("float32")} for n, h, w in SIZES]
    assert_same(CASES[name], params, feeds, atol=1e-5)


@pytest.mark.parametrize(
    "kernel, stride, pad", [((2, 2), (2, 2), (0, 0)), ((3, 3), (2, 2), (0, 0)), ((3, 3), (2, 2), (1, 1))]
)
@pytest.mark.parametrize("kind", ["max", "avg"])
def test_pooling_at_every_small_size(kernel, stride, pad, kind):
    feeds = [
        {"data": np.random.RandomState(h * 10 + w).randn(1, CHANNELS, h, w).astype("float32")}
        for h in range(kernel[0], 9)
        for w in range(kernel[1], 9)
    ]
    assert_same(pool(kernel, stride, pad, kind), {}, feeds, atol=1e-6)


def test_every_rule_has_a_case():
    used = {node["op"] for symbol in CASES.values() for node in json.loads(symbol.tojson())["nodes"]}
    # Made by the same one line as others that have one.
    plain = {"broadcast_div", "broadcast_plus", "broadcast_minus", "broadcast_maximum", "broadcast_minimum", "_maximum"}
    plain |= {"elemwise_mul", "negative", "_rpower_scalar", "sqrt", "identity", "stop_gradient"}
    other_spellings = {"_plus", "_minus", "_mul", "_div", "concat", "split", "pad", "flatten", "reshape"}
    assert set(RULES) - used <= plain | other_spellings


@pytest.mark.parametrize(
    "symbol, message",
    [
        (S.sin(X, name="s"), "sin (layer 's')"),
        (S.UpSampling(X, scale=2, sample_type="nearest", name="u") + S.topk(X, name="t"), "topk (layer 't')"),
        (S.Crop(X, h_w=(3, 4), center_crop=True, num_args=1, name="c"), "layer 'c' (Crop) cannot be exported: center"),
        (pool((2, 2), (2, 2), kind="sum"), "layer 'p' (Pooling) cannot be exported: pool_type=sum"),
        (S.Pad(X, mode="edge", pad_width=(0, 0, 0, 0, 1, 1, 1, 1), name="e"), "mode=edge"),
        (S.Activation(X, act_type="softsign", name="a") + S.LeakyReLU(X, act_type="gelu", name="g"), "act_type=gelu"),
    ],
)
def test_what_cannot_be_said_is_named(symbol, message):
    with pytest.raises(ExportError) as error:
        exported(symbol, {}, {"data": CHANNELS})
    assert message in str(error.value)


def test_a_missing_parameter_is_named():
    with pytest.raises(ExportError, match="no c_weight"):
        exported(conv(), {}, {"data": CHANNELS})


def test_parameters_that_are_no_numbers_are_named():
    params = random_params(conv(), data=(1, CHANNELS, 9, 12))
    params["c_bias"][3] = np.nan
    with pytest.raises(ExportError, match="c_bias: NaN or infinite values, of 1 arrays"):
        exported(conv(), params, {"data": CHANNELS})


def test_shared_arrays_are_written_once():
    params = random_params(CASES["shared"], data=(1, CHANNELS, 9, 12))
    model = exported(CASES["shared"], params, {"data": CHANNELS})
    assert model.count(params["w"].tobytes()) == 1
