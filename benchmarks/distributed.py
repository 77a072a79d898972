"""Several processes: images per second of 1 and 2 on this machine, and the sum of a ResNet-50's gradient by MPI and by
MXNet's parameter server.

`python benchmarks/distributed.py`: one process with one thread against two with one thread each, on updates of two
pictures (the small FCN-8s of `benchmarks/devices.py`), with and without the reduction overlapping the backward pass;
then 25.6 million numbers in 161 arrays. Turns are taken together; medians are printed.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

SERVER = "dist_sync"
SHARED = "mpi"


def resnet50_shapes() -> Dict[str, Tuple[int, ...]]:
    """Arrays of a ResNet-50 with 1000 classes, in the order of the network."""
    shapes: Dict[str, Tuple[int, ...]] = {}

    def convolution(name: str, out: int, into: int, kernel: int) -> None:
        shapes[f"{name}_weight"] = (out, into, kernel, kernel)
        shapes[f"{name}_gamma"] = shapes[f"{name}_beta"] = (out,)

    convolution("stem", 64, 3, 7)
    into = 64
    for stage, (units, width) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512))):
        for unit in range(units):
            name = f"stage{stage}_unit{unit}"
            if unit == 0:
                convolution(f"{name}_shortcut", 4 * width, into, 1)
            convolution(f"{name}_1", width, into, 1)
            convolution(f"{name}_2", width, width, 3)
            convolution(f"{name}_3", 4 * width, width, 1)
            into = 4 * width
    return {**shapes, "fc_weight": (1000, into), "fc_bias": (1000,)}


# ------------------------------------------------------------------------------------------- inside one process


def reduce_by_mpi() -> float:
    """Seconds of one sum, as the trainer does it."""
    import fullconv  # noqa: F401

    # isort: split
    import mxnet as mx

    from fullconv.lib.core.distributed import Buckets, join

    world, shapes = join("mpi"), resnet50_shapes()
    arrays = {name: mx.nd.ones(shape) for name, shape in shapes.items()}
    buckets = Buckets(world, shapes)
    return timed(lambda: (buckets.sum(arrays), mx.nd.waitall()), world.rest)


def reduce_by_server() -> float:
    """Seconds of one sum by MXNet's own workers; without our package, which refuses them."""
    import mxnet as mx

    store = mx.kv.create(SERVER)
    arrays = [mx.nd.ones(shape) for shape in resnet50_shapes().values()]
    for key, array in enumerate(arrays):
        store.init(key, array)

    def once() -> None:
        for key, array in enumerate(arrays):
            store.push(key, array, priority=-key)
            store.pull(key, array, priority=-key)
        mx.nd.waitall()

    return timed(once, lambda: None)


def timed(once, together) -> float:
    """Median seconds of five calls."""
    once()
    seconds = []
    for _ in range(5):
        together()
        started = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def images_per_second(updates: int, overlap: bool) -> float:
    """Of training, in updates of two pictures."""
    import fullconv  # noqa: F401

    # isort: split
    import mxnet as mx

    from fullconv.fcn.symbols import build, initial_params
    from fullconv.lib.core.distributed import join
    from fullconv.lib.core.trainer import Trainer

    net = build("voc-fcn8s", [6], width=0.25, hidden=128, dropout=0.0, norm=True)
    shapes = net.data_shapes(256, 320, labels=True)
    world = join("mpi")
    pictures = 2 // world.size
    trainer = Trainer(net.train_symbol("valid"), [mx.cpu()], shapes, accumulate=pictures, kvstore="mpi")
    trainer.set_params({name: mx.nd.array(value) for name, value in initial_params(net).items()}, {})
    if not overlap and trainer.buckets is not None:
        total = trainer.buckets.sum
        trainer.buckets.sum = lambda arrays: (mx.nd.waitall(), total(arrays))
    rng = np.random.RandomState(world.rank)
    batches = [
        {"data": np.float32(rng.randn(*shapes["data"]) * 60), "label": rng.randint(0, 6, shapes["label"])}
        for _ in range(pictures)
    ]
    for number in range(updates + 1):
        if number == 1:
            mx.nd.waitall()
            world.rest()
            started = time.perf_counter()
        trainer.step(batches, 1e-4)
    mx.nd.waitall()
    return 2 * updates / (time.perf_counter() - started)


# ------------------------------------------------------------------------------------------------- the processes


def by_launcher(processes: int, *words: str) -> float:
    """The number that the first of our processes prints."""
    command = [sys.executable, "-m", "fullconv.lib.tools.launch", "-n", str(processes), "--", __file__, *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return float(subprocess.check_output(command, text=True, env=environment).split()[0])


def by_server() -> float:
    """What the first of two workers of MXNet's parameter server prints; the slower one decides."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cluster = {"DMLC_PS_ROOT_URI": "127.0.0.1", "DMLC_PS_ROOT_PORT": str(port), "DMLC_NUM_WORKER": "2"}
    cluster.update(DMLC_NUM_SERVER="1", OMP_NUM_THREADS="1")
    started: List[subprocess.Popen] = []
    for role in ("scheduler", "server", "worker", "worker"):
        command = [sys.executable, __file__, "--inside", SERVER] if role == "worker" else ["-c", "import mxnet"]
        command = command if role == "worker" else [sys.executable, *command]
        environment = {**os.environ, **cluster, "DMLC_ROLE": role}
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    try:
        return max(float(worker.communicate(timeout=600)[0].split()[0]) for worker in started[2:])
    finally:
        for process in started:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inside", choices=(SERVER, SHARED, "train", "train_after"), help="be one of the processes")
    parser.add_argument("--updates", type=int, default=20, help="of each training")
    parser.add_argument("--turns", type=int, default=3, help="of all measurements")
    args = parser.parse_args()
    if args.inside == SERVER:
        print(reduce_by_server(), flush=True)
    elif args.inside == SHARED:
        print(reduce_by_mpi(), flush=True)
    elif args.inside:
        print(images_per_second(args.updates, args.inside == "train"), flush=True)
    else:
        compare(args.updates, args.turns)


def compare(updates: int, turns: int) -> None:
    """All measurements, in turn."""
    from benchmarks.timing import machine

    print(f"{machine()}, load {os.getloadavg()[0]:.1f}", flush=True)
    found: Dict[str, List[float]] = {}
    numbers = ("--updates", str(updates))
    for _ in range(turns):
        for name, measure in {
            "images/s, 1 process": lambda: by_launcher(1, "--inside", "train", *numbers),
            "images/s, 2 processes": lambda: by_launcher(2, "--inside", "train", *numbers),
            "images/s, 2 processes, no overlap": lambda: by_launcher(2, "--inside", "train_after", *numbers),
            "ResNet-50 gradient, mpi, ms": lambda: 1e3 * by_launcher(2, "--inside", SHARED),
            "ResNet-50 gradient, dist_sync, ms": lambda: 1e3 * by_server(),
        }.items():
            found.setdefault(name, []).append(measure())
    for name, values in found.items():
        print(f"{name}: {np.median(values):.1f} ({', '.join(f'{value:.1f}' for value in values)})")


if __name__ == "__main__":
    main()
