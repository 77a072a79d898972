"""Executors of many shapes in bounded memory."""

import gc
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.core.trainer import Trainer

STEPS, SHAPES = 240, 12


def network():
    net = mx.sym.Variable("data")
    for layer in range(4):
        net = mx.sym.Convolution(net, kernel=(3, 3), pad=(1, 1), num_filter=16, name=f"conv{layer}")
        net = mx.sym.Activation(net, act_type="relu")
    net = mx.sym.Pooling(net, global_pool=True, kernel=(1, 1), pool_type="avg")
    net = mx.sym.FullyConnected(net, num_hidden=3, name="fc")
    return mx.sym.SoftmaxOutput(net, mx.sym.Variable("label"), name="softmax")


def resident():
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_training_on_changing_shapes_keeps_its_memory():
    """A third of the shapes has room, so two steps in three drop an executor and bind another."""
    rng = np.random.RandomState(0)
    trainer = Trainer(network(), [mx.cpu()], {"data": (1, 3, 96, 128), "label": (1,)}, executor_limit=SHAPES // 3)
    start = {name: mx.nd.array(rng.normal(0, 0.05, shape)) for name, shape in trainer.param_shapes().items()}
    trainer.set_params(start, start)
    shapes = [(1, 3, rng.randint(32, 97), rng.randint(32, 129)) for _ in range(SHAPES)]
    memory = []
    for step in range(STEPS):
        shape = shapes[step % SHAPES if step < 2 * SHAPES else rng.randint(SHAPES)]
        trainer.step([{"data": rng.rand(*shape).astype("float32"), "label": np.array([1.0], "float32")}], lr=1e-4)
        if step in (STEPS // 3, STEPS - 1):
            mx.nd.waitall()
            memory.append(resident())
    assert memory[1] < 1.02 * memory[0], memory
