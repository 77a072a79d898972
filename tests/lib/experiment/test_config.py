"""lib.experiment.config: what is accepted, what is refused, and how the refusal reads."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
from easydict import EasyDict
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.lib.experiment import config as config_module
from fullconv.lib.experiment.config import ConfigError


def defaults() -> EasyDict:
    return EasyDict(
        name="",
        flag=True,
        SCALES=[(600, 1000)],
        TRAIN={"lr": 0.1, "lr_step": "", "steps": 3, "WEIGHTS": np.ones(4), "names": ["a"], "ratios": [0.5]},
        TEST={"lr_late": 1.0, "flag": False},
    )


def load(text, tmp_path, overrides=(), **kwargs):
    path = tmp_path / "some.yaml"
    path.write_text(text)
    return config_module.load(defaults(), str(path), overrides, **kwargs)


def test_layers_lie_in_order(tmp_path):
    known = defaults()
    config = config_module.load(known, None, [("TRAIN.lr", 0.5)])
    assert config.TRAIN.lr == 0.5 and known.TRAIN.lr == 0.1
    config = load("TRAIN:\n  lr: 0.2\n  steps: 7\n", tmp_path, ["TRAIN.lr", "0.3"])
    assert config_module.diff(known, config) == {"TRAIN.lr": (0.1, 0.3), "TRAIN.steps": (3, 7)}
    assert load("", tmp_path).TRAIN.lr == 0.1


@pytest.mark.parametrize(
    "text, read",
    [
        ("TRAIN: {lr: 5e-4}", lambda c: c.TRAIN.lr == 5e-4),
        ("TRAIN: {lr: 1}", lambda c: isinstance(c.TRAIN.lr, float)),
        ("TRAIN: {steps: 1e3}", lambda c: c.TRAIN.steps == 1000 and isinstance(c.TRAIN.steps, int)),
        ("TRAIN: {lr_step: '14'}", lambda c: c.TRAIN.lr_step == "14"),
        ("TRAIN: {lr_step: 5.33}", lambda c: c.TRAIN.lr_step == "5.33"),
        ("TRAIN:\n  lr_step: 3,6", lambda c: c.TRAIN.lr_step == "3,6"),
        ("TRAIN: {lr_step: [3, 6]}", lambda c: c.TRAIN.lr_step == "3,6"),
        ("TRAIN: {WEIGHTS: [1, 2, 3, 4]}", lambda c: c.TRAIN.WEIGHTS.tolist() == [1.0, 2.0, 3.0, 4.0]),
        ("TRAIN: {ratios: [1]}", lambda c: c.TRAIN.ratios == [1.0]),
        ("TRAIN: {names: []}", lambda c: c.TRAIN.names == []),
        ("SCALES: [300, 500]", lambda c: c.SCALES == [(300, 500)]),
        ("SCALES: [[300, 500], [600, 1000]]", lambda c: c.SCALES == [(300, 500), (600, 1000)]),
        ("name: 0", lambda c: c.name == "0"),
        ("name:", lambda c: c.name == ""),
    ],
)
def test_values_take_the_default_s_type(text, read, tmp_path):
    assert read(load(text, tmp_path))


@pytest.mark.parametrize(
    "text, words",
    [
        ("TRAIN: {LR: 1}", ["TRAIN.LR", "did you mean TRAIN.lr?"]),
        ("lr: 1", ["unknown key lr", "did you mean TRAIN.lr?"]),
        ("zzzzz: 1", ["zzzzz", "known keys here: name, flag, SCALES, TRAIN, TEST"]),
        ("TRAIN: 1", ["TRAIN is a group", "TRAIN.KEY"]),
        ("TRAIN: {lr: fast}", ["TRAIN.lr", "'fast'", "number"]),
        ("TRAIN: {lr: .nan}", ["TRAIN.lr", "nan"]),
        ("TRAIN: {steps: 1.5}", ["TRAIN.steps", "1.5", "integer"]),
        ("TRAIN: {steps: true}", ["TRAIN.steps", "True"]),
        ("TRAIN: {WEIGHTS: [1, 2]}", ["TRAIN.WEIGHTS", "4 numbers"]),
        ("SCALES: 600", ["SCALES", "600"]),
        ("SCALES: [[1, 2, 3]]", ["SCALES", "[[600, 1000]]"]),
        ("flag: 1", ["flag", "true or false"]),
        ("name: yes", ["name", "quote"]),
        ("- 1", ["KEY: VALUE"]),
        ("a: [1", ["not a yaml file"]),
        ("a: " + "[" * 5000, ["not a yaml file"]),
        ("a: !!python/object/apply:os.system [true]", ["not a yaml file"]),
    ],
)
def test_refusals_name_file_key_and_remedy(text, words, tmp_path):
    with pytest.raises(ConfigError) as error:
        load(text, tmp_path)
    for word in ["some.yaml", *words]:
        assert word in str(error.value)
    assert len(str(error.value)) < 1000


def test_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match="absent.yaml"):
        config_module.load(defaults(), "absent.yaml")


def test_overrides_from_the_command_line():
    words = "TRAIN.lr 5e-4 SCALES=300,400 name no TRAIN.steps -1 TRAIN.WEIGHTS=(1,2,3,4)".split()
    config = config_module.load(defaults(), None, words)
    assert (config.TRAIN.lr, config.SCALES, config.name, config.TRAIN.steps) == (5e-4, [(300, 400)], "no", -1)
    assert config.TRAIN.WEIGHTS.tolist() == [1, 2, 3, 4]
    with pytest.raises(ConfigError, match=r"'TRAIN\.lr' has no value"):
        config_module.parse_overrides(["TRAIN.steps", "1", "TRAIN.lr"])
    with pytest.raises(ConfigError, match="command line: TRAIN.lr"):
        config_module.load(defaults(), None, ["TRAIN.lr", "[1"])


def test_arguments_of_a_program():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg")
    config_module.add_config_arguments(parser)
    args = parser.parse_args("--set TRAIN.lr 1 flag false --cfg x TRAIN.lr 2 TRAIN.steps -1".split())
    config = config_module.load(defaults(), None, config_module.overrides_from(args))
    assert (config.TRAIN.lr, config.flag, config.TRAIN.steps) == (2.0, False, -1)


def test_saved_configuration_loads_to_the_same(tmp_path):
    config = config_module.load(defaults(), None, {"TRAIN.lr": 1e-5, "SCALES": [[3, 4], [5, 6]], "name": "0"})
    path = tmp_path / "resolved.yaml"
    config_module.save(config, str(path))
    assert config_module.diff(config, config_module.load(defaults(), str(path))) == {}
    assert config_module.diff(defaults(), config)["TRAIN.lr"] == (0.1, 1e-5)
    assert [file.name for file in tmp_path.iterdir()] == ["resolved.yaml"]


def test_check_sees_what_was_given(tmp_path):
    def check(config, given):
        assert given == {"TRAIN.lr", "flag"}
        raise ConfigError("no")

    with pytest.raises(ConfigError, match="some.yaml: no"):
        load("TRAIN: {lr: 1}", tmp_path, ["flag", "false"], check=check)


def test_numbers_in_text():
    assert config_module.parse_numbers("3, 5.33") == [3.0, 5.33]
    assert config_module.parse_numbers("") == []
    with pytest.raises(ConfigError):
        config_module.parse_numbers("3,x")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_any_bytes_load_or_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "x.yaml"
    path.write_bytes(content)
    try:
        config_module.load(defaults(), str(path))
    except ConfigError as error:
        assert "x.yaml" in str(error)


def test_python_tuples_in_yaml_are_lists(tmp_path):
    """The files of yacs hold them; to yaml they are text."""
    defaults = {"sets": [""], "steps": [1], "flags": (False,), "means": np.zeros(2), "text": ""}
    path = tmp_path / "a.yaml"
    path.write_text('sets: ("a", "b")\nsteps: (60000, 8)\nflags: (True,)\nmeans: (1, 2.5)\ntext: (a)\n')
    config = config_module.load(defaults, str(path))
    assert (config.sets, config.steps, tuple(config.flags), config.text) == (["a", "b"], [60000, 8], (True,), "(a)")
    assert config.means.tolist() == [1, 2.5]
    path.write_text("steps: (a, b)\n")
    with pytest.raises(ConfigError, match="steps: expected an integer, got 'a'"):
        config_module.load(defaults, str(path))
