"""A few pictures of the embedded set, and a slim network."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullconv.instancefcn import config as instancefcn_config
from fullconv.lib.dataset.registry import detection_set

CFGS = Path(__file__).resolve().parents[2] / "experiments/instancefcn/cfgs"


@pytest.fixture(scope="session")
def cfgs():
    """Folder of the configurations."""
    return CFGS


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """Six pictures with their masks."""
    folder = tmp_path_factory.mktemp("shapes")
    return detection_set("shapes", "train6", str(folder / "data"), str(folder / "shapes"))


@pytest.fixture(scope="session")
def slim():
    """slim(**changes): config of the embedded run, `TRAIN__INPUT="crop"` and so on."""

    def load(**changes):
        pairs = {key.replace("__", "."): value for key, value in changes.items()}
        return instancefcn_config.load(str(CFGS / "shapes_instancefcn.yaml"), pairs)

    return load
