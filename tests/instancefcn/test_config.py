"""instancefcn.config: every file loads, and values that do not fit together are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullconv.instancefcn import assembly
from fullconv.instancefcn import config as instancefcn_config
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.config import ConfigError

FILES = sorted((Path(__file__).resolve().parents[2] / "experiments/instancefcn/cfgs").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_loads_saves_and_loads_again(path, tmp_path):
    config = instancefcn_config.load(str(path))
    base.save(config, str(tmp_path / "resolved.yaml"))
    assert base.diff(config, instancefcn_config.load(str(tmp_path / "resolved.yaml"))) == {}
    assembly.network_spec(config), assembly.loss_spec(config), assembly.result_spec(config)


def test_the_papers_settings_are_the_defaults(cfgs):
    given = instancefcn_config.load(str(cfgs / "voc_instancefcn_k5.yaml"))
    differences = base.diff(instancefcn_config.load(), given)
    assert set(differences) <= {"gpus", "output_path", "dataset.dataset_path"}
    assert (given.TRAIN.lr, given.TRAIN.max_iter, given.TRAIN.lr_step) == (0.001, 40000, [32000])
    assert [assembly.accumulated(given.TRAIN, devices) for devices in (1, 2, 4, 8)] == [8, 4, 2, 1]
    rule = assembly.window_rule(given.TRAIN)
    assert (rule.count, rule.canonical, rule.shift, rule.negative_shift) == (256, 128, 16, 32)
    assert [round(600 * 1.5**power) for power in range(-4, 2)] == [int(side) for side in given.SCALES]


def test_cocos_scales_are_factors(cfgs):
    spec = assembly.input_spec(instancefcn_config.load(str(cfgs / "coco_instancefcn.yaml")))
    assert spec.relative and len(spec.scales) == 7
    assert spec.scales == pytest.approx([2 ** (power / 2) for power in range(-4, 3)], abs=1e-4)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("symbol", "vgg19", "symbol is 'vgg19'; it must be one of 'vgg16'"),
        ("network.HEAD", "sharpmask", "must be one of 'instancefcn', 'deepmask'"),
        ("network.HEAD", "deepmask", "TRAIN.INPUT is 'image'; network.HEAD deepmask is fully connected"),
        ("network.WINDOW", 20, "a window has a middle cell: take an odd number"),
        ("network.GROUP", 23, "more than the 21 cells"),
        ("network.GN_CHANNELS", 1, "vgg16 has no normalisation"),
        ("SCALES", "[0, 100]", "short sides in pixels"),
        ("SCALE_FACTORS", "[0.5, 0]", "factors above 0"),
        ("TRAIN.FILL", "some", "must be one of 'rpn', 'strict'"),
        ("TRAIN.LOSS_WEIGHT", "[1]", "takes two, objectness and masks"),
        ("TRAIN.SHIFT", 40, "a window would be both"),
        ("TRAIN.IMS_PER_DEVICE", 3, "TRAIN.BATCH_IMAGES is 8, no multiple"),
        ("TRAIN.snapshot", 3000, "the last updates would leave no checkpoint"),
        ("TEST.AR_DEFINITION", "voc", "must be one of 'coco', 'best', 'cover'"),
        ("TEST.NMS", 0, "TEST.NMS is 0.0; it must be above 0"),
        ("CLASSIFIER.SHARES", "[1]", "CLASSIFIER.SHARES is [1.0]; it takes 3 numbers"),
        ("CLASSIFIER.VOTING", "both", "must be one of 'gpu', 'cpu', ''"),
        ("CLASSIFIER.ROIS", 0, "CLASSIFIER.ROIS is 0; it must be at least 1"),
    ],
)
def test_values_that_do_not_fit_are_refused(key, value, message):
    with pytest.raises(ConfigError) as error:
        instancefcn_config.load(None, [key, str(value)])
    assert message in str(error.value)
