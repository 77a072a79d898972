"""Recorded files and outputs of the original FCOS."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Callable, Dict, List

import numpy as np
import pytest


@pytest.fixture(scope="session")
def fcos_dir(reference_dir: Path) -> Path:
    """Folder of the recorded files."""
    return reference_dir / "fcos"


@pytest.fixture(scope="session")
def fcos_reference(fcos_dir: Path) -> Callable[[str], Dict[str, np.ndarray]]:
    """`fcos_reference("a_locations")` is the dict of arrays in `fcos/a_locations.npz`."""

    def load(name: str) -> Dict[str, np.ndarray]:
        with np.load(fcos_dir / f"{name}.npz") as arrays:
            return {key: arrays[key] for key in arrays.files}

    return load


@pytest.fixture(scope="session")
def fcos_table(fcos_dir: Path) -> Callable[[str], List[Dict[str, str]]]:
    """`fcos_table("l_c2_names_R-50")` is the rows of `fcos/l_c2_names_R-50.tsv`."""

    def load(name: str) -> List[Dict[str, str]]:
        with open(fcos_dir / f"{name}.tsv", newline="") as file:
            return list(csv.DictReader(file, delimiter="\t"))

    return load
