"""Where the tests find recorded outputs of the originals and small real data sets, and what they do without them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, Dict

import numpy as np
import pytest

import fullconv  # noqa: F401 (before MXNet, as the programs do: with the same threads come the same numbers)

ROOT = Path(__file__).resolve().parents[1]


def _folder(variable: str, default: str) -> Path:
    path = Path(os.environ.get(variable, ROOT.parent / "shared" / default)).resolve()
    if not path.is_dir():
        pytest.skip(f"{variable} is not set and {default} data is absent: set {variable} to run this test")
    return path


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Folder with one sub-folder of recorded inputs and outputs per method."""
    return _folder("REFERENCE_DIR", "reference")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with small real data sets (coco128, photos, ...)."""
    return _folder("DATA_DIR", "data")


@pytest.fixture(scope="session")
def fcis_reference(reference_dir: Path) -> Callable[[str], Dict[str, np.ndarray]]:
    """`fcis_reference("nms")` is the dict of arrays recorded in `fcis/nms.npz`."""

    def load(name: str) -> Dict[str, np.ndarray]:
        with np.load(reference_dir / "fcis" / f"{name}.npz") as arrays:
            return {key: arrays[key] for key in arrays.files}

    return load


@pytest.fixture(params=["onnxruntime", "openvino"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each of the engines besides MXNet; skipped where it is not installed."""
    pytest.importorskip(request.param)
    return str(request.param)
