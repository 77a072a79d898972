"""Every engine that is installed gives MXNet's numbers; those that are not, and what does not fit, say so."""

from __future__ import annotations

import builtins
import sys

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.engines.network import BF16, Choice, EngineError, open_model
from fullconv.lib.operators.deformable_conv import deformable_conv
from fullconv.lib.operators.group_norm import group_norm
from tests.lib.export.helpers import by_mxnet, exported, random_params

EXPORTED = ("onnxruntime", "openvino")
PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino"}


@pytest.fixture(params=EXPORTED)
def engine(request):
    pytest.importorskip(PACKAGES[request.param])
    return request.param


def small():
    """A graph with what is not the same everywhere: a folded norm, groups, pooling that rounds up, a crop."""
    x = mx.sym.Variable("data")
    conv = mx.sym.Convolution(x, name="c", num_filter=8, kernel=(3, 3), pad=(1, 1), no_bias=True)
    conv = group_norm(mx.sym.BatchNorm(conv, name="n", fix_gamma=False), 2, 8, name="g", act="relu")
    pool = mx.sym.Pooling(conv, kernel=(2, 2), stride=(2, 2), pool_type="max", pooling_convention="full")
    offset = mx.sym.Convolution(pool, name="o", num_filter=18, kernel=(3, 3), pad=(1, 1)) * 2
    mask = mx.sym.sigmoid(mx.sym.Convolution(pool, name="m", num_filter=9, kernel=(3, 3), pad=(1, 1)))
    pool = deformable_conv(pool, offset, mask, num_filter=8, pad=(1, 1), channels=8, no_bias=True, name="d")
    up = mx.sym.Deconvolution(pool, name="u", num_filter=8, kernel=(4, 4), stride=(2, 2), num_group=8)
    return mx.sym.Crop(up, x, num_args=2, offset=(1, 1), name="crop")


@pytest.fixture(scope="module")
def model():
    params = random_params(small(), data=(1, 3, 16, 16))
    return exported(small(), params, {"data": 3}), params


def test_the_same_numbers(engine, model, monkeypatch):
    monkeypatch.setenv("MXNET_SUBGRAPH_BACKEND", "NONE")
    network = open_model(model[0], Choice(engine))
    feeds = [np.random.RandomState(k).randn(n, 3, h, w) for k, (n, h, w) in enumerate([(1, 17, 30), (2, 9, 12)])]
    # Both are under way before the first is asked for.
    started = [network.start({"data": feed}) for feed in feeds]
    for feed, queued in zip(feeds, started):
        (expected,) = by_mxnet(small(), model[1], {"data": feed.astype("float32")})
        found = network.finish(queued)
        assert list(found) == ["out0"]
        np.testing.assert_allclose(found["out0"], expected, rtol=0, atol=1e-4)


def test_from_a_file(engine, model, tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(model[0])
    feed = {"data": np.ones((1, 3, 8, 8), np.float32)}
    one, other = (open_model(m, Choice(engine)) for m in (str(path), model[0]))
    np.testing.assert_array_equal(one.finish(one.start(feed))["out0"], other.finish(other.start(feed))["out0"])


def test_bf16_is_near(model):
    pytest.importorskip("openvino")
    feed = {"data": np.random.RandomState(0).randn(1, 3, 40, 40).astype("float32")}
    full = open_model(model[0], Choice("openvino"))
    try:
        half = open_model(model[0], Choice("openvino", BF16))
    except EngineError as error:
        pytest.skip(str(error))
    one, other = (n.finish(n.start(feed))["out0"] for n in (full, half))
    assert other.dtype == np.float32
    difference = np.abs(one - other).max() / np.abs(one).max()
    assert 0 < difference < 0.05


@pytest.mark.parametrize(
    "array, message",
    [
        (
            np.zeros((1, 4, 8, 8)),
            r"input data: the exported network takes \(\*, 3, \*, \*\), this array is \(1, 4, 8, 8\)",
        ),
        (np.zeros((3, 8, 8)), r"this array is \(3, 8, 8\)"),
    ],
)
def test_arrays_that_do_not_fit(engine, model, array, message):
    with pytest.raises(EngineError, match=message):
        open_model(model[0], Choice(engine)).start({"data": array})


def test_a_missing_input(engine, model):
    with pytest.raises(EngineError, match="input data is missing; given are image"):
        open_model(model[0], Choice(engine)).start({"image": np.zeros((1, 3, 8, 8))})


def test_a_size_that_leaves_nothing(engine):
    symbol = mx.sym.Convolution(mx.sym.Variable("data"), name="c", num_filter=1, kernel=(7, 7))
    network = open_model(exported(symbol, random_params(symbol, data=(1, 3, 9, 9)), {"data": 3}), Choice(engine))
    with pytest.raises(EngineError, match="failed"):
        network.finish(network.start({"data": np.zeros((1, 3, 4, 4))}))


def test_what_is_no_model(engine):
    with pytest.raises(EngineError, match="cannot read it"):
        open_model(b"no model", Choice(engine))


def test_an_engine_that_is_not_installed(engine, model, monkeypatch):
    real = builtins.__import__

    def blocked(name, *args, **options):
        if name.partition(".")[0] == engine:
            raise ImportError(f"No module named {name!r}")
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", blocked)
    monkeypatch.delitem(sys.modules, engine, raising=False)
    with pytest.raises(EngineError, match=f"{engine} is not installed .*: pip install {engine}, or choose another"):
        open_model(model[0], Choice(engine))


@pytest.mark.parametrize(
    "choice, message",
    [
        (Choice("tensorflow"), "engine 'tensorflow': known are mxnet, onnxruntime, openvino"),
        (Choice("openvino", "fp8"), "precision 'fp8': known are fp32, bf16"),
        (Choice("onnxruntime", BF16), "precision bf16 with engine onnxruntime: only openvino"),
        (Choice(), "mxnet computes checkpoints"),
    ],
)
def test_choices_that_cannot_be(choice, message):
    with pytest.raises(EngineError, match=message):
        open_model(b"", choice)


def test_a_gpu_that_an_engine_does_not_have(engine, model):
    if engine == "onnxruntime":
        import onnxruntime

        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(EngineError, match="no CUDA here|on processors"):
        open_model(model[0], Choice(engine, gpu=True))
