"""A symbol through MXNet and through the exported file."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.core.predictor import Predictor
from fullconv.lib.export.network import Exportable, onnx_model


def exported(symbol: mx.sym.Symbol, params: Mapping[str, Any], channels: Mapping[str, int]) -> bytes:
    """The bytes of the ONNX file; outputs are called out0, out1, ..."""
    names = [f"out{k}" for k in range(len(symbol.list_outputs()))]
    return b"".join(onnx_model(Exportable(symbol, params, channels, names, {"key": "text"}), "test", "0"))


def session(model: bytes) -> Any:
    """onnxruntime's, with the file checked by `onnx` where that is installed."""
    ort = pytest.importorskip("onnxruntime")
    try:
        import onnx
    except ImportError:
        pass
    else:
        onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"])


def by_mxnet(symbol: mx.sym.Symbol, params: Mapping[str, Any], feed: Mapping[str, np.ndarray]) -> List[np.ndarray]:
    """What MXNet computes."""
    arrays = {name: mx.nd.array(array) for name, array in params.items()}
    predictor = Predictor(symbol, mx.cpu(), {name: array.shape for name, array in feed.items()}, arrays, arrays)
    return [array.asnumpy() for array in predictor.start(feed)]


def assert_same(
    symbol: mx.sym.Symbol, params: Mapping[str, Any], feeds: Sequence[Mapping[str, np.ndarray]], atol: float = 1e-4
) -> None:
    """Both give the same numbers for every feed, within `atol` of the largest one where that is above 1."""
    run = session(exported(symbol, params, {name: array.shape[1] for name, array in feeds[0].items()})).run
    for feed in feeds:
        for expected, found in zip(by_mxnet(symbol, params, feed), run(None, dict(feed))):
            assert found.shape == expected.shape and found.dtype == np.float32
            limit = atol * max(1.0, float(np.abs(expected).max()))
            np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


def random_params(symbol: mx.sym.Symbol, seed: int = 0, **inputs: tuple) -> Dict[str, np.ndarray]:
    """Numbers for every parameter: weights of unit gain, variances above 0, factors around 1."""
    shapes, _, aux = symbol.infer_shape(**inputs)
    pairs = [*zip(symbol.list_arguments(), shapes), *zip(symbol.list_auxiliary_states(), aux)]
    rng, found = np.random.RandomState(seed), {}
    for name, shape in pairs:
        if name in inputs:
            continue
        array = rng.randn(*shape) / np.sqrt(max(1, np.prod(shape[1:])))
        if name.endswith(("gamma", "var")):
            array = 1 + 0.3 * np.abs(array)
        found[name] = array.astype(np.float32)
    return found
