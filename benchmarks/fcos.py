"""The published FCOS R-50-FPN at 800x1088, one image: ours against other engines on the same weights, and its parts.

    python benchmarks/fcos.py [--peer-python PYTHON] [--onnx FILE] [--size H W] [--rounds N]
    python benchmarks/fcos.py --layers [--peer-python PYTHON]

Forward pass and training step take turns with PyTorch eager (both memory layouts; --peer-python names a Python that
can import torch) and, forward only, with onnxruntime on --onnx, a file that was exported of this network at this size.
Each runs in a process of its own and says its peak memory; the largest difference of the outputs is printed. Then the
share of post-processing, and the two operators that MXNet has as well. Weights are random: nothing here depends on
their values. --layers instead shows in which operators ours and PyTorch's time goes.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import List, Sequence

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import fullconv  # noqa: E402, F401 (before MXNet: it sets the number of threads)

# isort: split
import mxnet as mx  # noqa: E402

from benchmarks import deformable_conv as deformable  # noqa: E402
from benchmarks import group_norm as norm  # noqa: E402
from benchmarks.timing import alternate, machine, report  # noqa: E402
from benchmarks.workers import Worker, serve, take_turns  # noqa: E402
from fullconv.fcos import assembly  # noqa: E402
from fullconv.fcos import config as fcos_config  # noqa: E402
from fullconv.fcos.initial import initial  # noqa: E402
from fullconv.fcos.postprocess import Level, candidates, select  # noqa: E402
from fullconv.fcos.published import CONFIGS  # noqa: E402
from fullconv.fcos.symbols.fcos import level_sizes, test_symbol, train_symbol  # noqa: E402
from fullconv.fcos.targets import positives  # noqa: E402
from fullconv.lib.convert.state_dict import ours, theirs  # noqa: E402
from fullconv.lib.core.matching import expected_shapes  # noqa: E402
from fullconv.lib.core.predictor import Predictor  # noqa: E402
from fullconv.lib.core.trainer import Trainer  # noqa: E402
from fullconv.lib.operators.group_norm import group_norm  # noqa: E402

CONFIG, CLASSES = "fcos_R_50_FPN_1x", 81
TOWER = (1, 256, 100, 136)
"""Of P3 at 800x1088."""
OBJECTS = np.array([[100, 100, 400, 400, 1], [500, 50, 560, 120, 17], [30, 300, 700, 780, 80]], np.float32)


def published():
    """Config and network."""
    config = fcos_config.load(str(CONFIGS / f"{CONFIG}.yaml"))
    return config, assembly.network_spec(config, CLASSES)


def write_case(path: str, size: Sequence[int]) -> None:
    """Weights by `state_dict` name, an image and objects."""
    _, network = published()
    shapes, rng = expected_shapes(test_symbol(network), data=(1, 3, *size)), np.random.RandomState(0)
    arrays = {theirs(name): initial(name, shapes[name], 0.01, rng) for name in sorted(shapes)}
    image = (rng.rand(1, 3, *size) * 255 - 115).astype(np.float32)
    np.savez(path, x=image, boxes=OBJECTS, **arrays)


def read_case(path: str):
    """(arrays by our name, image)."""
    with np.load(path) as file:
        arrays = {ours(name): mx.nd.array(file[name]) for name in file if name not in ("x", "boxes")}
        return arrays, file["x"]


def our_forward(case: str):
    """A forward pass, as testing does it; outputs kind by kind of every level."""
    arrays, image = read_case(case)
    predictor = Predictor(test_symbol(published()[1]), mx.cpu(), {"data": image.shape}, arrays, arrays)
    return lambda: list(predictor({"data": image}).values())


def our_training(case: str):
    """An update; learning rate 0, so that every one computes the same."""
    (arrays, image), (config, network) = read_case(case), published()
    loss = assembly.loss_spec(config)
    number, centerness = positives(OBJECTS, image.shape[2:], loss)
    batch = {"data": image, "gt_boxes": OBJECTS[None], "normalizers": np.array([number, centerness], np.float32)}
    trainer = Trainer(
        train_symbol(network, loss),
        [mx.cpu()],
        {name: array.shape for name, array in batch.items()},
        momentum=config.SOLVER.MOMENTUM,
        wd=config.SOLVER.WEIGHT_DECAY,
        optimizer=config.SOLVER.OPTIMIZER,
        rules=assembly.rules(config),
    )
    trainer.set_params(arrays, arrays)

    def step() -> List[np.ndarray]:
        found: List[mx.nd.NDArray] = []
        trainer.step([batch], 0.0, lambda _, outputs: found.extend(output.copy() for output in outputs))
        mx.nd.waitall()
        return [np.concatenate([output.asnumpy() for output in found])]

    return step


def onnx_forward(case: str, model: str):
    """onnxruntime with as many threads as ours."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name, image = session.get_inputs()[0].name, np.load(case)["x"]
    return lambda: session.run(None, {name: image})


def worker(words: Sequence[str]) -> None:
    """What a process of this file does: engine, case, where the first outputs go, model."""
    engine, case, out, *more = words
    step = {"forward": our_forward, "train": our_training, "onnx": onnx_forward}[engine](case, *more)
    np.savez(out, *step())
    serve(step)


def compare(kind: str, args: argparse.Namespace, folder: Path) -> float:
    """Seconds, peak memory and largest difference of every engine; returns our seconds."""
    case, here = str(folder / "case.npz"), [sys.executable, str(Path(__file__).resolve())]
    commands = {"ours": [*here, "--worker", kind, case]}
    if args.peer_python:
        peer = [args.peer_python, str(ROOT / "benchmarks" / "fcos_peer.py"), kind]
        commands.update({f"PyTorch {layout}": [*peer, layout, case] for layout in ("nchw", "channels_last")})
    if args.onnx and kind == "forward":
        commands["onnxruntime"] = [*here, "--worker", "onnx", case]
    outs = {name: str(folder / f"{kind}-{name.replace(' ', '-')}.npz") for name in commands}
    last = {"onnxruntime": [args.onnx]}
    environment = {**os.environ, "PYTHONPATH": ""}
    workers = {
        name: Worker([*command, outs[name], *last.get(name, [])], environment) for name, command in commands.items()
    }
    take_turns(workers, args.rounds)
    seconds = {name: statistics.median(one.seconds) for name, one in workers.items()}
    print(f"{kind}, {args.size[0]}x{args.size[1]}:")
    for name, one in workers.items():
        off = "" if name == "ours" else f", largest difference {difference(outs['ours'], outs[name]):.1e}"
        print(f"  {name:<22} {seconds[name]:7.3f} s  {one.peak:6.2f} GiB{off}")
    others = [spent for name, spent in seconds.items() if name != "ours"]
    if others:
        print(f"  ours / the fastest other: {seconds['ours'] / min(others):.2f} (wanted: 0.9)")
    return seconds["ours"]


def difference(one: str, other: str) -> float:
    """Largest, relative to the largest value of an output; shapes tell outputs apart, as their order may differ."""
    with np.load(one) as a, np.load(other) as b:
        pairs = {array.shape: array for array in b.values()}
        return max(float(np.abs(x - pairs[x.shape]).max() / max(np.abs(x).max(), 1e-9)) for x in a.values())


def postprocessing(size: Sequence[int], forward: float) -> None:
    """Twelve thousand pairs of location and class above the threshold: ten times what a trained network gives."""
    config, _ = published()
    spec, rng, levels = assembly.result_spec(config), np.random.RandomState(0), []
    for height, width in level_sizes(*size):
        logits = rng.normal(-4.6, 0.7, (CLASSES - 1, height, width)).astype(np.float32)
        boxes, centerness = rng.uniform(4, 200, (4, height, width)), rng.normal(size=(1, height, width))
        levels.append(Level(logits, boxes.astype(np.float32), centerness.astype(np.float32)))
    call = lambda: select(candidates(levels, (size[0], size[1]), spec), spec)  # noqa: E731
    seconds = alternate({"post": call}, rounds=9)["post"]
    share = 100 * seconds / (seconds + forward)
    print(f"post-processing {1e3 * seconds:.1f} ms, {share:.1f} % of an image (wanted: 3 %)")


def operators() -> None:
    """GroupNorm with ReLU and modulated deformable convolution against MXNet's own, at a tower on P3."""
    data = mx.sym.Variable("data") * 1
    theirs_norm = mx.sym.relu(mx.sym.GroupNorm(data, num_groups=32))
    mine = group_norm(data, 32, channels=TOWER[1], act="relu", name="norm")
    steps = {name: norm.step(layer, TOWER) for name, layer in {"ours": mine, "MXNet's": theirs_norm}.items()}
    report(f"GroupNorm and ReLU {TOWER}, forward and backward", alternate(steps, rounds=7), 3)
    layers = deformable.layers(TOWER[1], True)
    steps = {name: deformable.step(layers[name], TOWER, False) for name in ("ours", "MXNet's")}
    report(f"modulated deformable convolution {TOWER}, forward", alternate(steps, rounds=5), 2)


def layer_tables(args: argparse.Namespace, folder: Path) -> None:
    """Time by operator of one forward pass."""
    os.environ["MXNET_EXEC_BULK_EXEC_INFERENCE"] = "0"  # else all is one operator
    step = our_forward(str(folder / "case.npz"))
    step()
    mx.profiler.set_config(profile_symbolic=True, aggregate_stats=True, filename=str(folder / "profile.json"))
    mx.profiler.set_state("run")
    step()
    mx.profiler.set_state("stop")
    print(mx.profiler.dumps(sort_by="total"), flush=True)
    if args.peer_python:
        words = ["forward", "nchw", str(folder / "case.npz"), str(folder / "out.npz"), "--layers"]
        os.spawnv(os.P_WAIT, args.peer_python, [args.peer_python, str(ROOT / "benchmarks" / "fcos_peer.py"), *words])


def main() -> None:
    """All parts, or one worker."""
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", default=sys.executable if importlib.util.find_spec("torch") else "")
    parser.add_argument("--onnx", default="", help="a file exported of this network at this size")
    parser.add_argument("--size", type=int, nargs=2, default=(800, 1088), metavar=("H", "W"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--layers", action="store_true", help="time by operator instead")
    args = parser.parse_args()
    print(f"{machine()}, {os.environ['OMP_NUM_THREADS']} threads; {CONFIG}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_case(str(folder / "case.npz"), args.size)
        if args.layers:
            layer_tables(args, folder)
            return
        forward = compare("forward", args, folder)
        postprocessing(args.size, forward)
        compare("train", args, folder)
        operators()


if __name__ == "__main__":
    main()
