"""Full-width FCN: one forward pass against other engines on the same weights, and a training step, with memory.

`python benchmarks/fcn.py` prints seconds of FCN-8s at 500x500 (median of turns taken together, so that a slow spell
hits all), ours and the same exported net in OpenCV's dnn module and, where it can be imported, in PyTorch eager; the
largest difference of the scores; the peak memory of each engine, in a process of its own; then one update of FCN-32s
at 375x500. Weights are random: nothing here depends on their values.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, Dict

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import fullconv  # noqa: E402, F401 (before MXNet: it sets the number of threads)

# isort: split
import cv2  # noqa: E402
import mxnet as mx  # noqa: E402

from benchmarks.timing import alternate, machine  # noqa: E402
from fullconv.fcn.convert import export, load_exactly  # noqa: E402
from fullconv.fcn.model import segmenter  # noqa: E402
from fullconv.fcn.symbols import build, initial_params  # noqa: E402
from fullconv.lib.core.trainer import Trainer  # noqa: E402

SIZE = (500, 500)
TRAINING_SIZE = (375, 500)
NETWORK = "voc-fcn8s"
Engine = Callable[[], np.ndarray]


def image(height: int, width: int) -> np.ndarray:
    """A random input (1, 3, height, width)."""
    return (np.random.RandomState(1).rand(1, 3, height, width) * 255 - 115).astype(np.float32)


def write_weights(prefix: str) -> None:
    """`<prefix>.prototxt` and `<prefix>.caffemodel` of the network with weights that keep signals alive."""
    net = build(NETWORK)
    params, rng = initial_params(net), np.random.RandomState(0)
    params["conv1_1_weight"] /= 64
    for name in params:
        if name.startswith("score") and name.endswith("_weight"):
            params[name] = (rng.randn(*params[name].shape) * 0.01).astype(np.float32)
    export(net, params, prefix, *SIZE)


def ours(prefix: str) -> Engine:
    """This package's Segmenter."""
    net, params = load_exactly(NETWORK, f"{prefix}.caffemodel")
    mine = segmenter(net, params, mx.cpu(), SIZE)
    data = {"data": image(*SIZE)}
    return lambda: mine.scores(data)["label"]


def opencv(prefix: str) -> Engine:
    """OpenCV's dnn module on the exported files."""
    net = cv2.dnn.readNetFromCaffe(f"{prefix}.prototxt", f"{prefix}.caffemodel")
    data = image(*SIZE)

    def run() -> np.ndarray:
        net.setInput(data)
        return net.forward()[0]

    return run


def pytorch(prefix: str) -> Engine:
    """The same rows, one by one, as PyTorch functions on the processor."""
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    net, params = load_exactly(NETWORK, f"{prefix}.caffemodel")
    form = torch.channels_last  # the faster layout there
    weights = {
        name: torch.from_numpy(array).contiguous(memory_format=form) if array.ndim == 4 else torch.from_numpy(array)
        for name, array in params.items()
    }
    rows = [layer for layer in net.layers if layer.type != "Dropout"]
    data = torch.from_numpy(image(*SIZE)).contiguous(memory_format=form)

    @torch.inference_mode()
    def run() -> np.ndarray:
        blobs = {"data": data}
        for layer in rows[1:]:
            blobs[layer.top] = _torch_layer(layer, [blobs[bottom] for bottom in layer.bottoms], weights)
        return blobs["score"][0].numpy()

    return run


def _torch_layer(layer, bottoms, weights):
    import torch.nn.functional as functional

    options, (x, *more) = layer.options, bottoms
    weight, bias = weights.get(f"{layer.name}_weight"), weights.get(f"{layer.name}_bias")
    if layer.type == "Convolution":
        return functional.conv2d(x, weight, bias, options["stride"], options["pad"])
    if layer.type == "Deconvolution":
        return functional.conv_transpose2d(x, weight, bias, options["stride"], options["pad"])
    if layer.type == "Pooling":
        return functional.max_pool2d(x, options["kernel"], options["stride"], options["pad"], ceil_mode=True)
    if layer.type == "ReLU":
        return functional.relu_(x)
    if layer.type == "Eltwise":
        return x + more[0]
    start, (height, width) = options["offset"], more[0].shape[2:]  # Crop
    return x[:, :, start : start + height, start : start + width]


ENGINES: Dict[str, Callable[[str], Engine]] = {"ours": ours, "opencv": opencv, "pytorch": pytorch}


def known_engines() -> Dict[str, Callable[[str], Engine]]:
    """Those that can run here."""
    return {n: e for n, e in ENGINES.items() if n != "pytorch" or importlib.util.find_spec("torch")}


def peak_gib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def compare(prefix: str, rounds: int) -> None:
    """Seconds and largest difference of all engines in one process."""
    engines = {name: make(prefix) for name, make in known_engines().items()}
    scores = {name: run() for name, run in engines.items()}
    seconds = alternate(engines, rounds, warm_up=1)
    for name in list(engines)[1:]:
        difference = np.abs(scores[name] - scores["ours"]).max()
        print(f"largest difference to {name}: {difference:.1e} of scores up to {np.abs(scores['ours']).max():.3g}")
    fastest = min((n for n in seconds if n != "ours"), key=seconds.get)
    print(f"{NETWORK} {SIZE[0]}x{SIZE[1]}: " + ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items()))
    print(f"ours is {seconds[fastest] / seconds['ours']:.2f} times as fast as {fastest} (wanted: more than 1)")


def memory(prefix: str, name: str) -> None:
    """Peak memory of one engine over two passes. The weights are counted, their copies while loading too."""
    run = ENGINES[name](prefix)
    run()
    run()
    print(f"peak memory of {name}: {peak_gib():.2f} GiB")


def training_step(prefix: str, rounds: int = 2) -> None:
    """Updates of FCN-32s as published."""
    net = build("voc-fcn32s")
    shapes = net.data_shapes(*TRAINING_SIZE, labels=True)
    trainer = Trainer(net.train_symbol(), [mx.cpu()], shapes, momentum=0.99, wd=0.0005)
    trainer.set_params({name: mx.nd.array(value) for name, value in initial_params(net).items()}, {})
    label = np.random.RandomState(0).randint(0, 21, shapes["label"])
    batch = {"data": image(*TRAINING_SIZE), "label": label.astype(np.float32)}
    seconds = alternate({"update": lambda: (trainer.step([batch], 1e-10), mx.nd.waitall())}, rounds, warm_up=1)
    print(
        f"voc-fcn32s, update at {TRAINING_SIZE[0]}x{TRAINING_SIZE[1]}: {seconds['update']:.2f} s; peak memory "
        f"{peak_gib():.2f} GiB (wanted: at most 6 GB)"
    )


def main() -> None:
    """Every part in a process of its own, so that its peak memory is its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="timed passes of each engine")
    parser.add_argument("--only", choices=("forward", "memory", "training"), help="one part")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        name, prefix = args.part
        parts = {"weights": write_weights, "training": training_step, "forward": lambda p: compare(p, args.rounds)}
        parts.get(name, lambda p: memory(p, name))(prefix)
        return
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        prefix = os.path.join(folder, "fcn")
        forward = [] if args.only == "training" else ["weights"]
        forward += [] if args.only in ("training", "memory") else ["forward"]
        forward += list(known_engines()) if args.only in (None, "memory") else []
        forward += ["training"] if args.only in (None, "training") else []
        for part in forward:
            command = [sys.executable, __file__, "--rounds", str(args.rounds), "--part", part, prefix]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
