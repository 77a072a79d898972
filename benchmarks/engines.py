"""The same networks in every engine that is installed, one forward pass of one image, in one run.

`python benchmarks/engines.py` prints seconds of FCN-8s at 500x500, the maps of FCIS with ResNet-101 at 600x1000, FCOS
with R-50-FPN at 800x1088 and a small FCIS at 240x320: medians of turns that engines take one after the other, so that a
slow spell hits all of them, and how far each engine's numbers are from MXNet's, in parts of the largest one. PyTorch,
where it can be imported, computes the exported graph itself, operator by operator, in fp32 and in bf16 with
channels_last. `--networks small` takes less; `--rounds 1` shows that all of it runs. Weights are random: nothing here
depends on their values.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Callable, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import fullconv  # noqa: E402, F401 (before MXNet: it sets the number of threads)

# isort: split
import mxnet as mx  # noqa: E402

from benchmarks.timing import alternate, machine  # noqa: E402
from fullconv.fcis import assembly as fcis_assembly  # noqa: E402
from fullconv.fcis import config as fcis_config  # noqa: E402
from fullconv.fcis.symbols.fcis import FCIS  # noqa: E402
from fullconv.fcn.symbols import build  # noqa: E402
from fullconv.fcos import assembly as fcos_assembly  # noqa: E402
from fullconv.fcos import config as fcos_config  # noqa: E402
from fullconv.fcos.symbols.fcos import test_symbol as fcos_symbol  # noqa: E402
from fullconv.lib.core.exported import exported_in  # noqa: E402
from fullconv.lib.core.matching import expected_shapes  # noqa: E402
from fullconv.lib.core.predictor import Predictor  # noqa: E402
from fullconv.lib.engines.network import BF16, Choice, EngineError, Network  # noqa: E402
from fullconv.lib.export.network import Exportable  # noqa: E402

CFGS = ROOT / "experiments"
CHOICES = {
    "onnxruntime": Choice("onnxruntime"),
    "openvino": Choice("openvino"),
    "openvino bf16": Choice("openvino", BF16),
}
Outputs = Dict[str, np.ndarray]


class Case(NamedTuple):
    """One network at one size of image (height, width)."""

    symbol: mx.sym.Symbol
    size: Tuple[int, int]


def fcn() -> Case:
    """FCN-8s as published."""
    return Case(build("voc-fcn8s").test_symbol(), (500, 500))


def fcis(cfg: str, classes: int, size: Tuple[int, int]) -> Case:
    """The convolutions of FCIS."""
    config = fcis_config.load(str(CFGS / "fcis" / "cfgs" / cfg), {})
    return Case(FCIS(fcis_assembly.network_spec(config, classes)).maps_symbol(), size)


def fcos() -> Case:
    """FCOS with R-50-FPN."""
    config = fcos_config.load(str(CFGS / "fcos" / "cfgs" / "fcos_R_50_FPN_1x.yaml"), {})
    return Case(fcos_symbol(fcos_assembly.network_spec(config, 81)), (800, 1088))


NETWORKS: Dict[str, Callable[[], Case]] = {
    "small": lambda: fcis("resnet_small_shapes_fcis.yaml", 5, (240, 320)),
    "fcn": fcn,
    "fcis": lambda: fcis("resnet_v1_101_coco_fcis_end2end_ohem.yaml", 81, (600, 1000)),
    "fcos": fcos,
}


def random_params(shapes: Mapping[str, tuple]) -> Dict[str, np.ndarray]:
    """Weights that keep signals alive: of unit gain, factors and variances of 1."""
    rng, found = np.random.RandomState(0), {}
    for name, shape in shapes.items():
        if name.endswith(("gamma", "_var", "_scale")) or (name.endswith("_weight") and len(shape) == 1):
            found[name] = np.ones(shape, np.float32)
        elif len(shape) == 1:
            found[name] = np.zeros(shape, np.float32)
        else:
            gain = np.sqrt(2 / np.prod(shape[1:]))
            found[name] = (rng.standard_normal(shape) * gain).astype(np.float32)
    return found


def pytorch(network: Exportable, feed: Mapping[str, np.ndarray], half: bool) -> Optional[Callable[[], Outputs]]:
    """The symbol's operators by PyTorch, channels_last; None where it has none for one of them."""
    from benchmarks.torch_graph import compiled

    return compiled(network, feed, half)


def engines(network: Exportable, feed: Mapping[str, np.ndarray]) -> Dict[str, Callable[[], Outputs]]:
    """What computes the network, by name; MXNet first."""
    arrays = {name: mx.nd.array(array) for name, array in network.params.items()}
    shapes = {name: array.shape for name, array in feed.items()}
    predictor = Predictor(network.symbol, mx.cpu(), shapes, arrays, arrays)
    found: Dict[str, Callable[[], Outputs]] = {
        "mxnet": lambda: dict(zip(network.outputs, predictor(feed).values())),
    }
    for name, choice in CHOICES.items():
        try:
            found[name] = _caller(exported_in(network, choice), feed)
        except EngineError as error:
            print(f"  {name}: left out, {error}")
    if importlib.util.find_spec("torch") is None:
        print("  pytorch: left out, it is not installed")
        return found
    for name, half in (("pytorch", False), ("pytorch bf16", True)):
        call = pytorch(network, feed, half)
        if call:
            found[name] = call
    return found


def _caller(opened: Network, feed: Mapping[str, np.ndarray]) -> Callable[[], Outputs]:
    return lambda: opened.finish(opened.start(feed))


def measure(name: str, rounds: int) -> None:
    """Seconds of one network in every engine."""
    case = NETWORKS[name]()
    shape = (1, 3, *case.size)
    params = random_params(expected_shapes(case.symbol, data=shape))
    names = [output[: -len("_output")] for output in case.symbol.list_outputs()]
    network = Exportable(case.symbol, params, {"data": 3}, names, {})
    feed = {"data": np.random.RandomState(1).standard_normal(shape).astype(np.float32)}
    print(f"{name} at {case.size[0]}x{case.size[1]}, {sum(map(np.size, params.values())) / 1e6:.1f} M parameters")
    calls = engines(network, feed)
    expected = calls["mxnet"]()
    seconds = alternate(calls, rounds, warm_up=1)
    for engine, call in calls.items():
        found = call()
        far = max(float(np.abs(found[k] - v).max() / max(np.abs(v).max(), 1e-30)) for k, v in expected.items())
        ratio = seconds["mxnet"] / seconds[engine]
        print(f"  {engine:<14}{seconds[engine]:8.3f} s {ratio:6.2f}x mxnet   differs by {far:.1e}", flush=True)


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the networks that the command line names."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    options.add_argument("--rounds", type=int, default=10)
    args = options.parse_args(argv)
    flags = Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").is_file() else []
    print(f"{machine()}; bf16: {', '.join(f for f in ('amx_bf16', 'avx512_bf16') if f in flags) or 'none'}")
    for name in args.networks:
        measure(name, args.rounds)


if __name__ == "__main__":
    main()
