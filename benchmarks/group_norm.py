"""Group normalisation against MXNet's GroupNorm and BatchNorm, forward and backward, at a small FCIS network's sizes.

`python benchmarks/group_norm.py`: each candidate is a layer in a bound graph, without and with a ReLU behind it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Callable, Dict, Tuple

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

import fullconv  # noqa: E402, F401 (before MXNet: it sets the number of threads)

# isort: split
import mxnet as mx  # noqa: E402

from benchmarks.timing import alternate, machine, report  # noqa: E402
from fullconv.lib.operators.group_norm import group_norm  # noqa: E402

GROUPS = 8
SHAPES = [(1, 64, 64, 80), (1, 16, 128, 160), (1, 256, 16, 20), (1, 256, 100, 128)]


def layers(channels: int, relu: bool) -> Dict[str, mx.sym.Symbol]:
    """The candidates behind a tensor, not a variable, as in a network."""
    data = mx.sym.Variable("data") * 1
    ours = group_norm(data, GROUPS, channels=channels, act="relu" if relu else "none", name="norm")
    theirs = [mx.sym.GroupNorm(data, num_groups=GROUPS), mx.sym.BatchNorm(data, fix_gamma=False)]
    theirs = [mx.sym.relu(layer) for layer in theirs] if relu else theirs
    return {"ours": ours, "MXNet's GroupNorm": theirs[0], "MXNet's BatchNorm": theirs[1]}


def step(layer: mx.sym.Symbol, shape: Tuple[int, ...]) -> Callable[[], None]:
    """One forward and backward pass."""
    executor = layer.simple_bind(mx.cpu(), data=shape)
    for array in executor.arg_dict.values():
        array[:] = mx.nd.random.normal(shape=array.shape)
    head = mx.nd.random.normal(shape=shape)

    def call() -> None:
        executor.forward(is_train=True)
        executor.backward(head)
        mx.nd.waitall()

    return call


def main() -> None:
    print(f"{machine()}; {GROUPS} groups, forward and backward")
    for shape in SHAPES:
        for relu in (False, True):
            steps = {name: step(layer, shape) for name, layer in layers(shape[1], relu).items()}
            seconds = alternate(steps)
            for other in list(steps)[1:]:
                what = f"{shape}{' with ReLU' if relu else ''}"
                report(what, {name: seconds[name] for name in ("ours", other)}, 1 if "Batch" in other else 5)


if __name__ == "__main__":
    main()
