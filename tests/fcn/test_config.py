"""The configuration: published settings, stages, and what is refused."""

import math
from pathlib import Path

import pytest

from fullconv.fcn import config as fcn_config
from fullconv.fcn.symbols import NETWORKS
from fullconv.fcn.train_end2end import schedule, snapshots
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.config import ConfigError

CFGS = Path(__file__).resolve().parents[2] / "experiments" / "fcn" / "cfgs"

PUBLISHED = {
    "voc-fcn32s": (1e-10, 0.99, 1, 100000, "sbd"),
    "voc-fcn16s": (1e-12, 0.99, 1, 100000, "sbd"),
    "voc-fcn8s": (1e-14, 0.99, 1, 100000, "sbd"),
    "voc-fcn8s-atonce": (1e-10, 0.99, 1, 300000, "sbd"),
    "voc-fcn-alexnet": (1e-4, 0.9, 20, 100000, "sbd"),
    "nyud-fcn32s-color": (1e-10, 0.99, 1, 100000, "nyud"),
    "nyud-fcn32s-hha": (1e-10, 0.99, 1, 100000, "nyud"),
    "nyud-fcn32s-color-d": (1e-10, 0.99, 1, 100000, "nyud"),
    "nyud-fcn32s-color-hha": (1e-12, 0.99, 1, 100000, "nyud"),
    "siftflow-fcn32s": (1e-10, 0.99, 1, 100000, "siftflow"),
    "siftflow-fcn16s": (1e-12, 0.99, 1, 100000, "siftflow"),
    "siftflow-fcn8s": (1e-12, 0.99, 1, 100000, "siftflow"),
    "pascalcontext-fcn32s": (1e-10, 0.99, 1, 400000, "pascal_context"),
    "pascalcontext-fcn16s": (1e-12, 0.99, 1, 400000, "pascal_context"),
    "pascalcontext-fcn8s": (1e-14, 0.99, 1, 400000, "pascal_context"),
}
"""Rate, momentum, iter_size and updates of the published solvers; updates are those their scripts run."""


@pytest.mark.parametrize("name", NETWORKS)
def test_every_published_network_has_its_published_settings(name):
    config = fcn_config.load(str(CFGS / f"{name}.yaml"))
    (stage,) = fcn_config.stages(config)
    lr, momentum, iter_size, updates, data = PUBLISHED[name]
    train = stage.TRAIN
    assert config.symbol == name and config.dataset.dataset == data and config.network.pretrained
    assert math.isclose(schedule(train)(1), lr) and schedule(train)(updates) == schedule(train)(1)
    assert (train.momentum, train.iter_size, int(train.max_iter)) == (momentum, iter_size, updates)
    assert (train.optimizer, config.network.FIXED_PARAMS) == ("sgd", [])
    assert (train.wd, train.order, train.seed, train.normalization) == (0.0005, "python2", 1337, "")
    assert (train.BATCH_IMAGES, train.FLIP, config.network.width, config.network.hidden) == (1, False, 1, 4096)
    assert (len(config.network.pretrained.split(","))) == len(NETWORKS[name].streams)


@pytest.mark.parametrize("path", sorted(CFGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_survives_saving(path, tmp_path):
    assert path.read_text().startswith("# ")
    config = fcn_config.load(str(path))
    base.save(config, str(tmp_path / "saved.yaml"))
    assert not base.diff(config, fcn_config.load(str(tmp_path / "saved.yaml")))
    for stage in fcn_config.stages(config):
        base.save(stage, str(tmp_path / "stage.yaml"))
        assert snapshots(fcn_config.load(str(tmp_path / "stage.yaml")).TRAIN) >= 1


def test_stages_have_their_own_values():
    config = fcn_config.load(
        str(CFGS / "voc-fcn-stages.yaml"), ["TRAIN.max_iter", "3000,2000,1000", "TRAIN.snapshot", "500"]
    )
    found = fcn_config.stages(config)
    assert [s.symbol for s in found] == ["voc-fcn32s", "voc-fcn16s", "voc-fcn8s"]
    assert [float(s.TRAIN.lr) for s in found] == [1e-10, 1e-12, 1e-14]
    assert [snapshots(s.TRAIN) for s in found] == [6, 4, 2]
    assert found[0].network.pretrained and not found[1].network.pretrained


def test_the_rate_can_fall_and_warm_up():
    words = ["TRAIN.lr", "1", "TRAIN.max_iter", "100", "TRAIN.snapshot", "50", "TRAIN.lr_step", "0.5,0.9"]
    train = fcn_config.load(None, [*words, "TRAIN.warmup_step", "10", "TRAIN.warmup_lr", "0.1"]).TRAIN
    rates = [schedule(train)(update) for update in (1, 9, 10, 50, 51, 90, 91)]
    assert rates == pytest.approx([0.1, 0.1, 1, 1, 0.1, 0.1, 0.01])


def test_the_rate_can_fall_as_caffes_poly():
    words = ["TRAIN.lr", "2", "TRAIN.max_iter", "100", "TRAIN.snapshot", "50", "TRAIN.lr_policy", "poly"]
    train = fcn_config.load(None, [*words, "TRAIN.power", "2", "TRAIN.warmup_step", "2"]).TRAIN
    assert [schedule(train)(update) for update in (1, 2, 51, 100)] == pytest.approx([0, 2 * 0.99**2, 0.5, 2e-4])


@pytest.mark.parametrize(
    "words, message",
    [
        (["symbol", "voc-fcn64s"], "symbol is 'voc-fcn64s'; it must be one of 'vgg16-classifier', 'voc-fcn32s'"),
        (["symbol", "voc-fcn8s,voc-fcn8s"], "name each network once"),
        (
            ["default.kvstore", "nonsense"],
            "default.kvstore is 'nonsense'; it must be one of 'local', 'device', 'mpi'",
        ),
        (["default.kvstore", "dist_async"], "it unpickles what anybody sends to it, listens on all addresses"),
        (["dataset.dataset", "coco"], "dataset.dataset is 'coco'; it must be one of 'voc', 'sbd', 'nyud'"),
        (["dataset.test_dataset", "vco"], "did you mean voc?"),
        (["symbol", ""], "name each network once"),
        (["TRAIN.lr", "1,2"], "TRAIN.lr is 1,2: 2 values for 1 networks"),
        (["TRAIN.lr", "-1"], "TRAIN.lr is -1; it must be positive"),
        (["TRAIN.lr", "fast"], "TRAIN.lr is 'fast': expected a number"),
        (["TRAIN.max_iter", "1.5"], "TRAIN.max_iter is 1.5; it must be positive and whole"),
        (["TRAIN.max_iter", "5,0"], "TRAIN.max_iter is 5,0: 2 values for 1 networks"),
        (["TRAIN.max_iter", "0"], "TRAIN.max_iter is 0; it must be positive and whole"),
        (["network.FIXED_PARAMS", "[conv1,conv9]"], "has 'conv9', with which no array of voc-fcn32s begins"),
        (["TRAIN.crops", "0"], "TRAIN.crops is 0; it must be positive"),
        (["TRAIN.crop_size", "16"], "TRAIN.crop_size is 16; vgg16-classifier takes 17 pixels or more"),
        (["symbol", "vgg16-classifier,voc-fcn32s"], "network.norm False: vgg16-classifier must come first"),
        (["symbol", "voc-fcn32s,vgg16-classifier", "network.norm", "true"], "vgg16-classifier must come first"),
        (["symbol", "vgg16-classifier", "network.norm", "true", "TEST.network", "vgg16-classifier"], "TEST.network is"),
        (
            ["TRAIN.optimizer", "adamw"],
            "TRAIN.optimizer is 'adamw'; it must be one of 'sgd', 'torch_sgd', 'adam', 'muon'",
        ),
        (["TRAIN.lr_policy", "cosine"], "TRAIN.lr_policy is 'cosine'; it must be one of 'step', 'poly'"),
        (["TRAIN.lr_policy", "poly", "TRAIN.lr_step", "0.5"], "it belongs to TRAIN.lr_policy step, leave it empty"),
        (["TRAIN.momentum", "1"], "TRAIN.momentum is 1.0; it must be at least 0 and below 1"),
        (["TRAIN.power", "0"], "TRAIN.power is 0.0; it must be positive"),
        (["TRAIN.snapshot", "7"], "TRAIN.snapshot is 7, which does not divide TRAIN.max_iter 100000"),
        (["TRAIN.lr_step", "3"], "shares of a stage"),
        (["TRAIN.order", "python3"], "TRAIN.order is 'python3'"),
        (["TRAIN.normalization", "mean"], "TRAIN.normalization is 'mean'"),
        (["TRAIN.iter_size", "0"], "TRAIN.iter_size is 0; it must be positive"),
        (["network.dropout", "1"], "network.dropout is 1"),
        (["TEST.network", "voc-fcn8s"], "TEST.network is 'voc-fcn8s'; it must be one of '', 'voc-fcn32s'"),
        (["TRAIN.momentun", "1"], "did you mean TRAIN.momentum"),
    ],
)
def test_what_cannot_be_meant_is_refused(words, message):
    with pytest.raises(ConfigError) as error:
        fcn_config.load(None, words)
    assert message in str(error.value)
