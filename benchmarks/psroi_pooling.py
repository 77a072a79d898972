"""PSROIPooling and the fused FCIS head against MXNet's builtin and the composed graph, at FCIS's sizes.

`python benchmarks/psroi_pooling.py`: VOC's score maps (1, 2058, 38, 63), 300 rois, group 7, pooled to 21 x 21.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Callable

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

import fullconv  # noqa: E402, F401 (before MXNet: it sets the number of threads)

# isort: split
import mxnet as mx  # noqa: E402

from benchmarks.timing import alternate, machine, report  # noqa: E402
from fullconv.lib.operators.fcis_head import fcis_head, fcis_head_composed  # noqa: E402
from fullconv.lib.operators.psroi_pooling import psroi_pooling  # noqa: E402

CLASSES, GROUP, POOLED, SCALE, ROIS = 21, 7, 21, 0.0625, 300
HEIGHT, WIDTH = 38, 63
SIZES = {"spatial_scale": SCALE, "output_dim": 2 * CLASSES, "pooled_size": POOLED, "group_size": GROUP}


def draw_rois(random: np.random.RandomState) -> mx.nd.NDArray:
    """Boxes of 20 to 500 pixels, clipped to an image of 600 x 1000."""
    centre = random.uniform(0, 1, (ROIS, 2)) * [1000, 600]
    extent = np.exp(random.uniform(np.log(20), np.log(500), (ROIS, 2)))
    corners = np.concatenate([centre - extent / 2, centre + extent / 2], 1).clip(0, [999, 599, 999, 599])
    return mx.nd.array(np.concatenate([np.zeros((ROIS, 1)), corners], 1))


def backward_of(operator: Callable, data: mx.nd.NDArray, rois: mx.nd.NDArray) -> Callable[[], None]:
    """The gradient alone: the forward pass is recorded once, outside the measurement."""
    data = data.copy()
    data.attach_grad()
    with mx.autograd.record():
        out = operator(data, rois, **SIZES)
    head = mx.nd.random.normal(shape=out.shape)

    def call() -> None:
        out.backward(head, retain_graph=True)
        data.grad.wait_to_read()

    return call


def main() -> None:
    random = np.random.RandomState(0)
    data = mx.nd.array(random.randn(1, 2 * CLASSES * GROUP**2, HEIGHT, WIDTH))
    bbox, rois = mx.nd.array(random.randn(1, 8 * GROUP**2, HEIGHT, WIDTH)), draw_rois(random)
    builtin = mx.nd.contrib.PSROIPooling
    print(f"{machine()}; data {data.shape}, {ROIS} rois, {POOLED} x {POOLED}")
    forward = {
        "ours": lambda: psroi_pooling(data, rois, **SIZES).wait_to_read(),
        "MXNet's builtin": lambda: builtin(data, rois, **SIZES).wait_to_read(),
    }
    report("PSROIPooling forward", alternate(forward), 4)
    backward = {"ours": backward_of(psroi_pooling, data, rois), "MXNet's builtin": backward_of(builtin, data, rois)}
    report("PSROIPooling backward", alternate(backward), 2)
    head = {
        "fused": lambda: [x.wait_to_read() for x in fcis_head(data, bbox, rois, CLASSES)],
        "composed": lambda: [x.wait_to_read() for x in fcis_head_composed(data, bbox, rois, CLASSES)],
    }
    report("FCIS head", alternate(head))


if __name__ == "__main__":
    main()
