"""An exported network by onnxruntime's CUDA, against its processor."""

from __future__ import annotations

import numpy as np
import pytest

from fullconv.lib.engines.network import Choice, EngineError, open_model
from fullconv.lib.export.graph import Graph
from fullconv.lib.export.onnx_format import Value, encode_model, encode_tensor


def model() -> bytes:
    """Convolution, ReLU, pooling, as the exporter writes them; MXNet is not needed."""
    weight = np.random.RandomState(0).standard_normal((8, 3, 3, 3)).astype(np.float32)
    graph = Graph({"w": weight})
    conv = graph.add("Conv", "data", "w", kernel_shape=(3, 3), pads=(1, 1, 1, 1))
    pool = graph.add("MaxPool", graph.add("Relu", conv), kernel_shape=(2, 2), strides=(2, 2), pads=(0, 0, 1, 1))
    graph.rename(pool, "out")
    tensors = [part for name, array in graph.arrays.items() for part in encode_tensor(name, array)]
    values = [Value("data", ("N", 3, "H", "W"))], [Value("out", ("N", 8, "h", "w"))]
    return b"".join(encode_model("small", "0", graph.nodes, tensors, *values, {}))


def test_cuda_gives_the_processors_numbers() -> None:
    pytest.importorskip("onnxruntime")
    try:
        there = open_model(model(), Choice("onnxruntime", gpu=True))
    except EngineError as error:
        pytest.skip(str(error))
    here = open_model(model(), Choice("onnxruntime"))
    for size in ((1, 3, 17, 30), (2, 3, 64, 48)):
        feed = {"data": np.random.RandomState(1).standard_normal(size).astype(np.float32)}
        one, other = (network.finish(network.start(feed))["out"] for network in (here, there))
        # CUDA may round products to TF32.
        np.testing.assert_allclose(other, one, rtol=0, atol=2e-2)
