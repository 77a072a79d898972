"""Does FCOS's memory stay flat over pictures of many sizes? A pass over a folder, with random weights.

    .venv/bin/python benchmarks/fcos_memory.py --cfg experiments/fcos/cfgs/fcos_R_50_FPN_1x.yaml --images FOLDER

Weights are the numbers that training from nothing begins with; MODEL.FCOS.INFERENCE_TH 0.03 lets some of what they see
pass. Prints resident memory as it goes; exit code 1 where the second half of the pass needs over a tenth more than
the first.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import fullconv  # noqa: E402, F401 (before MXNet: it sets the number of threads)

# isort: split
import mxnet as mx  # noqa: E402

from fullconv.fcos import assembly  # noqa: E402
from fullconv.fcos import config as fcos_config  # noqa: E402
from fullconv.fcos.symbols.fcos import test_symbol  # noqa: E402
from fullconv.fcos.tester import Detector  # noqa: E402
from fullconv.fcos.weights import Start, start_weights  # noqa: E402
from fullconv.lib.core.matching import expected_shapes  # noqa: E402

CLASSES = 81
TOLERATED = 1.1


def resident() -> float:
    """Memory of this process in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def detector(cfg: str, words: list) -> Detector:
    """The network of a configuration with random weights."""
    config = fcos_config.load(cfg, ["MODEL.FCOS.INFERENCE_TH", "0.03", *words])
    network, images = assembly.network_spec(config, CLASSES), assembly.test_input(config)
    shapes = expected_shapes(test_symbol(network), data=(1, 3, *images.largest))
    params = start_weights(shapes, Start(), np.random.RandomState(0))
    return Detector(network, images, assembly.result_spec(config), params, mx.cpu())


def main() -> int:
    """Run the pass."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cfg", required=True)
    parser.add_argument("--images", required=True, help="folder of .jpg files")
    parser.add_argument("--number", type=int, default=0, help="so many pictures; 0: all")
    parser.add_argument("words", nargs="*", metavar="KEY VALUE", help="configuration keys")
    args = parser.parse_args()
    paths = sorted(Path(args.images).glob("*.jpg"))[: args.number or None]
    model, began, found, used = detector(args.cfg, args.words), time.time(), 0, []
    for number, path in enumerate(paths, start=1):
        found += len(model.detect(cv2.imread(str(path))))
        used.append(resident())
        if number % max(len(paths) // 8, 1) == 0:
            print(f"{number} pictures, {found} detections, {used[-1]:.0f} MB, {time.time() - began:.0f} s", flush=True)
    first, second = max(used[: len(used) // 2]), max(used[len(used) // 2 :])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{Path(args.cfg).stem}: at most {first:.0f} MB in the first half, {second:.0f} in the second, peak {peak:.0f}"
    )
    return int(second > TOLERATED * first)


if __name__ == "__main__":
    sys.exit(main())
