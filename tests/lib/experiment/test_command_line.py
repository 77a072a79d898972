"""Devices of a config on a machine that has fewer: what the methods' configs become."""

import mxnet as mx
import pytest

from fullconv.fcis.config import METHOD as FCIS
from fullconv.fcn.config import METHOD as FCN
from fullconv.lib.experiment.command_line import start

CASES = [
    (FCIS, "experiments/fcis/cfgs/resnet_v1_101_coco_fcis_end2end_ohem.yaml", "grad_accumulate"),
    (FCN, "experiments/fcn/cfgs/voc-fcn32s.yaml", "iter_size"),
]


@pytest.mark.parametrize("method, cfg, key", CASES, ids=["FCIS", "FCN"])
def test_a_config_of_eight_gpus_on_four_makes_the_same_updates(monkeypatch, method, cfg, key):
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 4)
    published = method.load(cfg).TRAIN[key]
    eight = ["--cfg", cfg, "--set", "gpus", "0,1,2,3,4,5,6,7"]
    run = start(method, "", eight)
    assert run.contexts == [mx.gpu(i) for i in range(4)] and run.config.gpus == "0,1,2,3"
    assert run.config.TRAIN[key] == 2 * published
    again = start(method, "", ["--cfg", cfg, "--set", "gpus", run.config.gpus, f"TRAIN.{key}", str(2 * published)])
    assert again.config.TRAIN[key] == 2 * published, "the config that a run leaves gives the same run again"


@pytest.mark.parametrize("method, cfg, key", CASES, ids=["FCIS", "FCN"])
def test_what_the_command_line_accumulates_stays(monkeypatch, capsys, method, cfg, key):
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 1)
    run = start(method, "", ["--cfg", cfg, "--set", "gpus", "0,1,2,3", f"TRAIN.{key}", "3"])
    assert run.config.TRAIN[key] == 3 and f"TRAIN.{key} stays 3" in capsys.readouterr().out
