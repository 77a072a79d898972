"""InstanceFCN's proposals at full width: what is not convolution against plain numpy and against the network.

`python -m benchmarks.instancefcn`: a 375 x 500 image at the paper's six scales, k = 5, 1000 proposals. Assembling,
pasting and suppression in one pass (`lib.mask.instance_proposals`) take turns with the plain pipeline; then VGG-16 of
stride 8 and both branches run over all scales, in a process of its own, with its peak memory. Weights are random:
nothing here depends on their values. The maps are smooth noise, on which more windows have to be visited than on a
trained network's.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from typing import List, Tuple

import cv2
import numpy as np

import fullconv  # noqa: F401 (before MXNet: it sets the number of threads)

# isort: split
import mxnet as mx

from benchmarks.plain_proposals import plain_proposals
from benchmarks.timing import alternate, machine, report
from fullconv.lib.core.predictor import Predictor
from fullconv.lib.mask.instance_proposals import ScaleMaps, instance_proposals
from fullconv.lib.network.vgg import VGG16, vgg16_spec

Size = Tuple[int, int]

IMAGE: Size = (375, 500)
SHORT_SIDES = (118.5, 177.8, 266.7, 400, 600, 900)
STRIDE, GROUP, HIDDEN, COUNT = 8, 5, 512, 1000
MOST_GIB, LEAST_GAIN, MOST_SHARE = 2.5, 10, 0.15


def resized() -> List[Size]:
    """(height, width) of the image at each scale."""
    return [(int(round(side)), int(round(side * IMAGE[1] / IMAGE[0]))) for side in SHORT_SIDES]


def cells(size: Size) -> Size:
    """(height, width) of the map of an input of `size`, padded to whole cells."""
    height, width = (-(-side // STRIDE) for side in size)
    return height, width


def smooth_maps(seed: int = 0) -> List[ScaleMaps]:
    """Logits that change from cell to cell as objects' do, at all scales."""
    rng = np.random.RandomState(seed)
    scales = []
    for size in resized():
        noise = rng.randn(GROUP**2 + 1, *cells(size)).astype(np.float32)
        maps = np.stack([cv2.GaussianBlur(plane, (0, 0), 2) for plane in noise]) * 20
        scales.append(ScaleMaps(maps[:-1], maps[-1], size))
    return scales


def network() -> mx.sym.Symbol:
    """The trunk and both branches (paper, section 3.2)."""
    trunk = VGG16(vgg16_spec("vgg16_stride8")).features(mx.sym.Variable("data"))["conv5_3"].symbol

    def branch(name: str, kernel: int, last_kernel: int, channels: int) -> mx.sym.Symbol:
        options = {"kernel": (kernel, kernel), "pad": (kernel // 2,) * 2, "num_filter": HIDDEN}
        hidden = mx.sym.relu(mx.sym.Convolution(trunk, name=f"{name}_hidden", **options))
        options = {"kernel": (last_kernel,) * 2, "pad": (last_kernel // 2,) * 2, "num_filter": channels}
        return mx.sym.Convolution(hidden, name=name, **options)

    return mx.sym.Group([branch("scores", 1, 3, GROUP**2), branch("objectness", 3, 1, 1)])


def predictor() -> Predictor:
    """With random weights that keep signals alive."""
    symbol, rng = network(), np.random.RandomState(0)
    height, width = (side * STRIDE for side in cells(resized()[-1]))
    shapes = {"data": (1, 3, height, width)}
    params = {}
    for name, shape in zip(symbol.list_arguments(), symbol.infer_shape(**shapes)[0]):
        if name != "data":
            spread = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0
            params[name] = mx.nd.array(rng.randn(*shape) * spread)
    return Predictor(symbol, mx.cpu(), shapes, params, {}, executor_limit=len(SHORT_SIDES))


def whole(rounds: int) -> None:
    """The network over all scales and the proposals of what it says, with the memory of both."""
    run, rng = predictor(), np.random.RandomState(1)
    inputs = [rng.rand(1, 3, *(side * STRIDE for side in cells(size))).astype(np.float32) for size in resized()]
    spent: List[Tuple[float, float]] = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        outputs = [run({"data": data}) for data in inputs]
        middle = time.perf_counter()
        scales = [ScaleMaps(o["scores"][0], o["objectness"][0, 0], size) for o, size in zip(outputs, resized())]
        instance_proposals(scales, IMAGE, COUNT)
        spent.append((middle - start, time.perf_counter() - middle))
    convolutions = float(np.median([first for first, _ in spent[1:]]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"convolutions at six scales: {convolutions:.2f} s; proposals of their maps {spent[-1][1]:.3f} s")
    print(f"peak memory: {peak:.2f} GiB (wanted: at most {MOST_GIB:g})")
    scales = smooth_maps()
    seconds = alternate({"proposals": lambda: instance_proposals(scales, IMAGE, COUNT)}, 5)["proposals"]
    share = seconds / (seconds + convolutions)
    print(
        f"proposals of smooth noise {seconds:.3f} s: {100 * share:.1f} % of the whole (wanted: {100 * MOST_SHARE:g} %)"
    )


def against_numpy(rounds: int, every_window: bool) -> None:
    """The plain pipeline that stops as early, or pastes every window first as it is described."""
    scales = smooth_maps()
    fused = alternate({"fused": lambda: instance_proposals(scales, IMAGE, COUNT)}, 7)["fused"]
    plain = alternate({"plain": lambda: plain_proposals(scales, IMAGE, COUNT, lazy=True)}, rounds, 0)["plain"]
    report("proposals", {"one pass": fused, "plain numpy that stops as early": plain}, LEAST_GAIN)
    if every_window:
        plain = alternate({"plain": lambda: plain_proposals(scales, IMAGE, COUNT)}, 1, 0)["plain"]
        report("proposals", {"one pass": fused, "plain numpy": plain}, LEAST_GAIN)
    start = time.perf_counter()
    codes = instance_proposals(scales, IMAGE, COUNT).codes()
    print(f"run-length codes of {len(codes)} masks, with the pass before: {time.perf_counter() - start:.3f} s")


def main() -> None:
    """The network in a process of its own, so that its peak memory is its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="timed passes of the slow ones")
    parser.add_argument("--only", choices=("numpy", "network"), help="one part")
    parser.add_argument("--every_window", action="store_true", help="also time plain numpy on all 30000 windows")
    args = parser.parse_args()
    if args.only == "network":
        whole(args.rounds)
        return
    print(machine(), flush=True)
    against_numpy(args.rounds, args.every_window)
    if args.only is None:
        command = [sys.executable, "-m", "benchmarks.instancefcn", "--rounds", str(args.rounds), "--only", "network"]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
