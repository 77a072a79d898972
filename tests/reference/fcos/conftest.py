"""Recorded inputs and outputs of the original FCOS."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict

import numpy as np
import pytest


@pytest.fixture(scope="session")
def fcos_reference(reference_dir: Path) -> Callable[[str], Dict[str, np.ndarray]]:
    """`fcos_reference("c_losses")` is the dict of arrays recorded in `fcos/c_losses.npz`."""

    def load(name: str) -> Dict[str, np.ndarray]:
        with np.load(reference_dir / "fcos" / f"{name}.npz") as arrays:
            return {key: arrays[key] for key in arrays.files}

    return load
