"""Memory stays flat over images of hundreds of sizes: MXNet's caches and the executors are bounded."""

import os
import subprocess
import sys
from pathlib import Path

import mxnet as mx

from fullconv.lib.core.executors import ExecutorPool

ROOT = Path(__file__).resolve().parents[3]

# An unpadded stack of convolutions, as FCN's and FCIS's trunks are, trained on random sizes.
SOAK = """
import sys
import fullconv
import mxnet as mx
import numpy as np
from fullconv.lib.core.trainer import Trainer

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

maps = mx.sym.Variable("data")
for layer in range(12):
    maps = mx.sym.Convolution(maps, kernel=(3, 3), pad=(1, 1), num_filter=16, name=f"conv{layer}")
    maps = mx.sym.Activation(maps, act_type="relu")
    if layer % 4 == 3:
        maps = mx.sym.Pooling(maps, kernel=(2, 2), stride=(2, 2), pool_type="max")
loss = mx.sym.MakeLoss(mx.sym.mean(mx.sym.square(maps)))
trainer = Trainer(loss, [mx.cpu()], {"data": (1, 3, 128, 128)})
rng = np.random.RandomState(0)
trainer.set_params({n: mx.nd.array(rng.normal(0, 0.1, s)) for n, s in trainer.param_shapes().items()}, {})
for step in range(1, 301):
    height, width = rng.randint(32, 129, 2)
    trainer.step([{"data": rng.rand(1, 3, height, width).astype("float32")}], 1e-6)
    mx.nd.waitall()
    if step in (60, 300):
        print(resident())
"""


def test_memory_stays_flat_over_images_of_many_sizes():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MXNET_")}
    environment["OMP_NUM_THREADS"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", SOAK], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-2000:]
    after_60, after_300 = map(float, done.stdout.split())
    print(f"resident: {after_60:.0f} MB after 60 sizes, {after_300:.0f} MB after 300")
    assert after_300 < 1.1 * after_60, f"{after_60:.0f} MB after 60 sizes, {after_300:.0f} MB after 300"


def test_executors_are_bounded():
    symbol = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, flatten=False, name="fc")
    pool = ExecutorPool(symbol, mx.cpu(), {"data": (1, 50, 3)}, limit=4)
    for length in range(1, 40):
        pool.forward({"data": mx.nd.ones((1, length, 3)).asnumpy()}, is_train=False)
    assert len(pool._executors) == 4
