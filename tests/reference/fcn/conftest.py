"""Recorded outputs of Caffe for FCN: arrays, and networks built to the size of recorded weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcn.symbols import FCN, NETWORKS, network_of
from fullconv.lib.convert import caffe
from fullconv.lib.network.caffe.compose import compose
from tests.reference.fcn.losses import exact_loss


class Slim(NamedTuple):
    """A recorded network: ours at its size, its weights, and what Caffe computed."""

    name: str
    net: FCN
    params: Dict[str, np.ndarray]
    arrays: Dict[str, np.ndarray]

    def images(self, prefix: str = "in_") -> Dict[str, np.ndarray]:
        """Recorded image inputs by name."""
        return {name: self.arrays[prefix + name] for name in self.net.inputs}

    def labels(self) -> Dict[str, np.ndarray]:
        """Recorded label maps (1, 1, H, W) by name."""
        return {h.label: self.arrays[f"label_{h.label}"][None, None].astype(np.float32) for h in self.net.heads}

    def exact_losses(self) -> List[float]:
        """The loss of every head on the recorded scores and labels, in float64."""
        pairs = [(self.arrays[f"blob_{h.score}"], self.arrays[f"label_{h.label}"]) for h in self.net.heads]
        return [exact_loss(score, label, self.net.network.normalization) for score, label in pairs]

    def bind(self, symbol: mx.sym.Symbol, inputs: Dict[str, np.ndarray], grad_req: Any = "null"):
        """An executor holding inputs and weights."""
        executor = symbol.simple_bind(mx.cpu(), grad_req=grad_req, **{n: a.shape for n, a in inputs.items()})
        arrays = {n: mx.nd.array(a) for n, a in {**self.params, **inputs}.items()}
        executor.copy_params_from(arrays, allow_extra_params=True)
        return executor

    def forward(self, images: Dict[str, np.ndarray], blobs) -> Dict[str, np.ndarray]:
        """Blobs by name, in the test phase."""
        symbols = compose(self.net.layers)
        executor = self.bind(mx.sym.Group([symbols[blob] for blob in blobs]), images)
        return {blob: out.asnumpy() for blob, out in zip(blobs, executor.forward(is_train=False))}


@pytest.fixture(scope="session")
def fcn_dir(reference_dir: Path) -> Path:
    """Folder of the recorded outputs."""
    return reference_dir / "fcn"


@pytest.fixture(scope="session")
def fcn_reference(fcn_dir: Path) -> Callable[[str], Dict[str, np.ndarray]]:
    """`fcn_reference("sgd")` is the dict of arrays in `fcn/sgd.npz`."""

    def load(name: str) -> Dict[str, np.ndarray]:
        with np.load(fcn_dir / f"{name}.npz") as arrays:
            return {key: arrays[key] for key in arrays.files}

    return load


@pytest.fixture(scope="session")
def fcn_json(fcn_dir: Path) -> Callable[[str], Any]:
    """`fcn_json("sgd_cases")` is the content of `fcn/sgd_cases.json`."""
    return lambda name: json.loads((fcn_dir / f"{name}.json").read_text())


@pytest.fixture(scope="session")
def slim_network(fcn_dir: Path, fcn_reference) -> Callable[..., Slim]:
    """`slim_network("voc-fcn8s")`, without dropout on request."""

    def load(name: str, dropout: float = 0.5) -> Slim:
        params = caffe.load_params(str(fcn_dir / "nets" / f"{name}.caffemodel"))
        net = network_of(name, params, dropout)
        return Slim(name, net, caffe.match(params, net.param_shapes(), name), fcn_reference(f"nets/{name}"))

    return load


def pytest_generate_tests(metafunc) -> None:
    """Every test that takes `network` runs for all published networks."""
    if "network" in metafunc.fixturenames:
        metafunc.parametrize("network", sorted(NETWORKS))
