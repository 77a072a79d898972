"""Deformable convolution against MXNet's, at a tower of FCOS: forward, and forward and backward.

`python benchmarks/deformable_conv.py`: each candidate is a layer in a bound graph. MXNet's modulated operator has no
backward pass on the CPU, so that ours stands alone there; a plain convolution of the same size shows the rest of the
way.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable, Dict, Tuple

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

import fullconv  # noqa: E402, F401 (before MXNet: it sets the number of threads)

# isort: split
import mxnet as mx  # noqa: E402

from benchmarks.timing import alternate, machine, report  # noqa: E402
from fullconv.lib.operators.deformable_conv import deformable_conv  # noqa: E402

SHAPES = [(1, 256, 100, 136), (1, 256, 25, 34)]


def layers(channels: int, modulated: bool) -> Dict[str, mx.sym.Symbol]:
    """The candidates behind tensors, not variables, as in a network."""
    data, offset, mask = (mx.sym.Variable(key) * 1 for key in ("data", "offset", "mask"))
    options: Dict[str, Any] = {"num_filter": channels, "kernel": (3, 3), "pad": (1, 1)}
    ours = deformable_conv(data, offset, mask if modulated else None, channels=channels, name="conv", **options)
    plain = mx.sym.Convolution(data, **options)
    if modulated:
        theirs = mx.sym.contrib.ModulatedDeformableConvolution(data, offset, mask, **options)
    else:
        theirs = mx.sym.contrib.DeformableConvolution(data, offset, **options)
    return {"ours": ours, "MXNet's": theirs, "plain convolution": plain}


def step(layer: mx.sym.Symbol, shape: Tuple[int, ...], train: bool) -> Callable[[], None]:
    """One forward pass, and one backward in training."""
    sizes = {"data": shape, "offset": (1, 18, *shape[2:]), "mask": (1, 9, *shape[2:])}
    sizes = {name: size for name, size in sizes.items() if name in layer.list_arguments()}
    executor = layer.simple_bind(mx.cpu(), grad_req="write" if train else "null", **sizes)
    for array in executor.arg_dict.values():
        array[:] = mx.nd.random.normal(shape=array.shape)
    head = mx.nd.random.normal(shape=shape)

    def call() -> None:
        executor.forward(is_train=train)
        if train:
            executor.backward(head)
        mx.nd.waitall()

    return call


def main() -> None:
    print(f"{machine()}; 3x3, as many filters as channels")
    for shape in SHAPES:
        for modulated in (False, True):
            for train in (False, True):
                kind = f"{shape} {'modulated' if modulated else 'plain'}, {'training' if train else 'forward'}"
                steps = {
                    name: step(layer, shape, train)
                    for name, layer in layers(shape[1], modulated).items()
                    if not (name == "MXNet's" and modulated and train)
                }
                seconds = alternate(steps, rounds=5, warm_up=1)
                for other in list(steps)[1:]:
                    report(kind, {name: seconds[name] for name in ("ours", other)}, 2 if other == "MXNet's" else 0)


if __name__ == "__main__":
    main()
