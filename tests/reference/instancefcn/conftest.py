"""Outputs of a plain float64 reading of InstanceFCN, of which there is no original."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict

import numpy as np
import pytest


@pytest.fixture(scope="session")
def instancefcn_reference(reference_dir: Path) -> Callable[[str], Dict[str, np.ndarray]]:
    """`instancefcn_reference("ar")` is the dict of arrays in `instancefcn/ar.npz`."""

    def load(name: str) -> Dict[str, np.ndarray]:
        with np.load(reference_dir / "instancefcn" / f"{name}.npz") as arrays:
            return {key: arrays[key] for key in arrays.files}

    return load
