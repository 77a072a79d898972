"""A few pictures of the embedded set, and a slim network."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullconv.fcos import assembly
from fullconv.fcos import config as fcos_config
from fullconv.lib.dataset.registry import detection_set

CFG = Path(__file__).resolve().parents[2] / "experiments/fcos/cfgs/shapes_fcos.yaml"


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """Six pictures with their boxes."""
    folder = tmp_path_factory.mktemp("shapes")
    return detection_set("shapes", "train6", str(folder / "data"), str(folder / "shapes"), masks=False)


@pytest.fixture(scope="session")
def slim():
    """Config of the embedded run."""
    return fcos_config.load(str(CFG))


@pytest.fixture(scope="session")
def network(slim):
    """Its network for five classes."""
    return assembly.network_spec(slim, 6)
