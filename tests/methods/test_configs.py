"""Configurations of all methods: each knows its own files, and says whose the others are."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml

from fullconv.lib.experiment.config import ConfigError
from fullconv.lib.experiment.method_of import method_of, wrong_method

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(ROOT.glob("experiments/*/cfgs/*.yaml"))
METHODS = sorted({path.parents[1].name for path in FILES})


def load(method):
    return importlib.import_module(f"fullconv.{method}.config").load


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_tells_its_method(path):
    assert str(method_of(yaml.safe_load(path.read_text()))).lower() == path.parents[1].name
    load(path.parents[1].name)(str(path))


@pytest.mark.parametrize("method", METHODS)
def test_files_of_other_methods_are_called_by_their_names(method):
    for path in FILES:
        other = path.parents[1].name
        if other != method:
            with pytest.raises(ConfigError) as caught:
                load(method)(str(path))
            assert f"{path}: a configuration of " in str(caught.value)
            assert f"the scripts in experiments/{other} and with {other}/demo.py" in str(caught.value)


@pytest.mark.parametrize("config", [{}, {"symbol": "something"}, {"TRAIN": {"lr": 1}}, {"symbol": None}])
def test_keys_that_tell_nothing(config):
    assert method_of(config) is None and wrong_method(config, "FCIS") is None


def test_mistyped_keys_of_a_method_are_still_named_one_by_one(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("MODEL: {WIEGHT: x.pth}\n")
    with pytest.raises(ConfigError, match="did you mean MODEL.WEIGHT"):
        load("fcos")(str(path))
