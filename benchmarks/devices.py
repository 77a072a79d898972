"""Devices of one processor: two pictures one after the other on `cpu`, against side by side on `cpu:2`.

`python benchmarks/devices.py` times updates of the small normalised FCN-8s of shapes_fcn.yaml at 256x320 (median of
turns taken together, each in a process of its own, as threads belong to a process).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import fullconv  # noqa: E402, F401 (before MXNet: it sets the number of threads)

# isort: split
import mxnet as mx  # noqa: E402

from benchmarks.timing import alternate, machine, report  # noqa: E402
from fullconv.fcn.symbols import build, initial_params  # noqa: E402
from fullconv.lib.core.devices import parse_devices  # noqa: E402
from fullconv.lib.core.trainer import Trainer  # noqa: E402

PICTURES, SIZE, CLASSES = 2, (256, 320), 6


def updates(devices: str, count: int) -> float:
    """Seconds of one update, without the one that plans the memory."""
    contexts = parse_devices(devices=devices)
    net = build("voc-fcn8s", [CLASSES], width=0.25, hidden=128, dropout=0.0, norm=True)
    shapes = net.data_shapes(*SIZE, labels=True)
    trainer = Trainer(
        net.train_symbol("valid"), contexts, shapes, accumulate=PICTURES // len(contexts), kvstore="local"
    )
    trainer.set_params({name: mx.nd.array(value) for name, value in initial_params(net).items()}, {})
    rng = np.random.RandomState(0)
    batches = [
        {"data": np.float32(rng.randn(*shapes["data"]) * 60), "label": rng.randint(0, CLASSES, shapes["label"])}
        for _ in range(PICTURES)
    ]
    for number in range(count + 1):
        if number == 1:
            mx.nd.waitall()
            started = time.perf_counter()
        trainer.step(batches, 1e-4)
    mx.nd.waitall()
    return (time.perf_counter() - started) / count


def process(devices: str) -> float:
    """`updates` in a new process."""
    return float(subprocess.check_output([sys.executable, __file__, "--devices", devices], text=True))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", help="print the seconds of one update on these, in this process")
    parser.add_argument("--updates", type=int, default=20, help="how many")
    args = parser.parse_args()
    if args.devices:
        print(updates(args.devices, args.updates))
        return
    print(machine())
    seconds: dict[str, list[float]] = {"cpu:2": [], "cpu": []}
    alternate({name: lambda name=name: seconds[name].append(process(name)) for name in seconds}, rounds=3, warm_up=0)
    report("update on two pictures", {name: float(np.median(values)) for name, values in seconds.items()})


if __name__ == "__main__":
    main()
