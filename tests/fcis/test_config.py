"""fcis.config: the published files load unchanged, and values that do not fit together are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullconv.fcis import assembly
from fullconv.fcis import config as fcis_config
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.config import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / "experiments" / "fcis" / "cfgs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_loads_saves_and_loads_again(path, tmp_path):
    config = fcis_config.load(str(path))
    base.save(config, str(tmp_path / "resolved.yaml"))
    assert base.diff(config, fcis_config.load(str(tmp_path / "resolved.yaml"))) == {}
    assert config.network.NUM_ANCHORS == len(config.network.ANCHOR_SCALES) * len(config.network.ANCHOR_RATIOS)
    assert base.parse_numbers(config.TRAIN.lr_step)


def test_published_voc_settings():
    config = fcis_config.load(str(CONFIGS / "resnet_v1_101_vocSDS_fcis_end2end.yaml"))
    assert (config.symbol, config.gpus, config.SCALES) == ("resnet_v1_101_fcis", "0,1,2,3", [(600, 1000)])
    assert (config.TRAIN.lr, config.TRAIN.lr_step) == (5e-4, "14")
    assert (config.TRAIN.end_epoch, config.TEST.test_epoch) == (22, 21)
    assert (config.TRAIN.BATCH_ROIS, config.TRAIN.BG_THRESH_LO, config.TRAIN.ENABLE_OHEM) == (128, 0.1, False)
    assert config.network.PIXEL_MEANS.tolist() == [103.06, 115.90, 123.15]
    assert config.TRAIN.BBOX_STDS == [0.2, 0.2, 0.5, 0.5] and config.network.NUM_ANCHORS == 9


def test_published_coco_settings():
    config = fcis_config.load(str(CONFIGS / "resnet_v1_101_coco_fcis_end2end_ohem.yaml"))
    assert (config.dataset.NUM_CLASSES, config.network.NUM_ANCHORS, config.TRAIN.RPN_MIN_SIZE) == (81, 12, 2)
    assert (config.TRAIN.warmup, config.TRAIN.warmup_lr, config.TRAIN.warmup_step) == (True, 5e-5, 250)
    assert (config.TRAIN.BATCH_ROIS, config.TRAIN.ENABLE_OHEM, config.TEST.ITER) == (-1, True, 2)
    demo = fcis_config.load(str(CONFIGS / "fcis_coco_demo.yaml"))
    assert sorted(base.diff(config, demo)) == ["default.frequent", "gpus", "output_path"]


def test_number_of_anchors_follows_from_the_scales():
    assert fcis_config.load(None, {"network.ANCHOR_SCALES": [4, 8]}).network.NUM_ANCHORS == 6
    with pytest.raises(ConfigError, match="NUM_ANCHORS is 9.* make 6"):
        fcis_config.load(None, {"network.ANCHOR_SCALES": [4, 8], "network.NUM_ANCHORS": 9})


@pytest.mark.parametrize(
    "key, value",
    [
        ("TEST.ITER", 3),
        ("TEST.HAS_RPN", False),
        ("TRAIN.END2END", False),
        ("TRAIN.BATCH_ROIS", -1),
        ("TRAIN.grad_accumulate", 0),
        ("TRAIN.BBOX_STDS", [1, 2]),
        ("TRAIN.lr_step", "3,x"),
        ("TEST.MASK_MERGE_RULE", "best"),
        ("network.RPN_FEAT_STRIDE", 7),
        ("default.kvstore", "nonsense"),
        ("dataset.dataset", "voc"),
        ("symbol", "resnet_v1_1001_fcis"),
        ("symbol", "R-50"),
        ("TEST.PROPOSAL_RECALL", [100, 301]),
        ("TEST.PROPOSAL_RECALL", ["many"]),
    ],
)
def test_impossible_values_are_refused_by_name(key, value):
    with pytest.raises(ConfigError, match=key):
        fcis_config.load(None, {key: value})


def test_what_is_known_is_listed():
    with pytest.raises(ConfigError, match="'local', 'device', 'mpi'"):
        fcis_config.load(None, ["default.kvstore", "nonsense"])
    with pytest.raises(ConfigError, match="unpickles what anybody sends .* default.kvstore mpi, started by"):
        fcis_config.load(None, ["default.kvstore", "dist_sync"])
    with pytest.raises(ConfigError, match="'resnet_v1_101_fcis'.*did you mean resnet_v1_101_fcis"):
        fcis_config.load(None, ["symbol", "resnet_v1_1001_fcis"])
    with pytest.raises(ConfigError, match="1 to TEST.RPN_POST_NMS_TOP_N 300"):
        fcis_config.load(None, ["TEST.PROPOSAL_RECALL", "[301]"])


@pytest.mark.parametrize("phase, other", [("TRAIN", "TEST"), ("TEST", "TRAIN")])
def test_mxnets_proposals_have_one_stride(phase, other):
    words = ["network.RPN_FEAT_STRIDE", "8", f"{other}.CXX_PROPOSAL", "false"]
    with pytest.raises(ConfigError, match=f"{phase}.CXX_PROPOSAL is true .* set {phase}.CXX_PROPOSAL false"):
        fcis_config.load(None, words)


def test_what_the_graphs_are_built_from():
    config = fcis_config.load(str(CONFIGS / "resnet_v1_101_coco_fcis_end2end_ohem.yaml"))
    network, train, test = (
        assembly.network_spec(config, 81),
        assembly.train_spec(config),
        assembly.test_spec(config),
    )
    assert (network.num_classes, network.num_reg_classes, network.num_anchors) == (81, 2, 12)
    assert (network.backbone.units, network.backbone.strides, network.backbone.dilations) == (
        (3, 4, 23, 3),
        (1, 2, 2, 1),
        (1, 1, 1, 2),
    )
    assert (train.sampling.rois, train.losses.kept_rois, train.losses.hard_examples) == (-1, 128, True)
    assert (train.proposals.pre_nms, test.proposals.pre_nms, test.rounds, test.fused) == (6000, 6000, 2, True)
    assert train.boxes == test.boxes and train.boxes.stds == (0.2, 0.2, 0.5, 0.5)


def test_other_values_make_other_graphs():
    words = "symbol resnet_v1_50_fcis network.RPN_FEAT_STRIDE 8 network.GN_CHANNELS 4 CLASS_AGNOSTIC false"
    words += " TRAIN.CXX_PROPOSAL false TEST.CXX_PROPOSAL false"
    network = assembly.network_spec(fcis_config.load(None, words.split()), 4)
    assert (network.num_reg_classes, network.backbone.strides, network.backbone.norm.group_size) == (4, (1, 2, 1, 1), 4)
    few = assembly.train_spec(fcis_config.load(None, ["TRAIN.BATCH_ROIS", "64"]))
    assert (few.sampling.rois, few.losses.kept_rois, few.losses.hard_examples) == (64, 64, False)
