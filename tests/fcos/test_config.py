"""fcos.config: the published files load unchanged, and values that do not fit together are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullconv.fcos import assembly
from fullconv.fcos import config as fcos_config
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.config import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / "experiments" / "fcos" / "cfgs"
FILES = sorted(CONFIGS.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_loads_saves_and_loads_again(path, tmp_path):
    config = fcos_config.load(str(path))
    base.save(config, str(tmp_path / "resolved.yaml"))
    assert base.diff(config, fcos_config.load(str(tmp_path / "resolved.yaml"))) == {}
    assert assembly.pieces(config.SOLVER) * config.SOLVER.CHECKPOINT_PERIOD == config.SOLVER.MAX_ITER


def test_there_are_the_nineteen_published_files():
    assert len([path for path in FILES if path.stem.startswith("fcos_")]) == 19


def test_published_settings():
    config = fcos_config.load(str(CONFIGS / "fcos_imprv_dcnv2_X_101_64x4d_FPN_2x.yaml"))
    assert config.DATASETS.TRAIN == ["coco_2014_train", "coco_2014_valminusminival"]
    assert (config.SOLVER.STEPS, config.SOLVER.MAX_ITER) == ([120000, 160000], 180000)
    network, loss = assembly.network_spec(config, 81), assembly.loss_spec(config)
    assert network.body.deformable == (0, 0, 2, 2) and network.head.deformable
    assert (network.body.groups, network.body.group_width, network.body.stride_in_1x1) == (64, 4, False)
    assert (loss.iou, loss.radius, network.head.normalised) == ("giou", 1.5, True)
    assert assembly.train_input(config).min_sizes == tuple(range(640, 801))
    assert assembly.view_spec(config).more == ()
    config.TEST.BBOX_AUG.ENABLED = True
    views = assembly.view_spec(config).more
    assert len(views) == 17 and views[0] == (800, 1333, True) and views[-1] == (1200, 2000, True)


def test_batches_follow_from_the_devices():
    config = fcos_config.load(str(CONFIGS / "fcos_R_50_FPN_1x.yaml"))
    assert [assembly.accumulated(config, devices) for devices in (1, 2, 4, 8)] == [8, 4, 2, 1]
    with pytest.raises(ValueError, match="IMS_PER_BATCH is 16: 3 devices that take IMS_PER_DEVICE 2 images"):
        assembly.accumulated(config, 3)


def test_another_batch_is_remarked_on():
    solver = fcos_config.load(None, {"SOLVER.IMS_PER_BATCH": 4, "SOLVER.BASE_LR": 0.0025}).SOLVER
    assert "multiply a rate for 16 by 0.25" in assembly.rate_advice(solver)
    assert assembly.rate_advice(fcos_config.load().SOLVER) == ""


def test_words_of_the_command_line():
    config = fcos_config.load(None, ["SOLVER.STEPS", "(10, 20)", "DATASETS.TRAIN", "('a',)", "MODEL.WEIGHT", "x.pth"])
    assert (config.SOLVER.STEPS, config.DATASETS.TRAIN, config.MODEL.WEIGHT) == ([10, 20], ["a"], "x.pth")


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("MODEL.BACKBONE.CONV_BODY", "R-50-C4", "must be one of R-50-FPN-RETINANET"),
        ("MODEL.FCOS_ON", False, "FCOS alone"),
        ("RUN.kvstore", "dist_sync", "unpickles what anybody sends .* RUN.kvstore mpi, started by"),
        ("RUN.kvstore", "nonsense", "must be one of 'local', 'device', 'mpi'"),
        ("MODEL.MASK_ON", True, "no published FCOS"),
        ("MODEL.FPN.USE_GN", True, "no published FCOS"),
        ("MODEL.RESNETS.DEFORMABLE_GROUPS", 2, "must be one of 1"),
        ("MODEL.RESNETS.STAGE_WITH_DCN", [True], "four stages"),
        ("MODEL.RESNETS.BACKBONE_OUT_CHANNELS", 48, "32 groups"),
        ("MODEL.FCOS.IOU_LOSS_TYPE", "l1", "must be one of iou, linear_iou, giou"),
        ("MODEL.FCOS.FPN_STRIDES", [4, 8], "must be one of"),
        ("MODEL.FCOS.SIZES_OF_INTEREST", [64, 32, 128, 256], "takes 4 ascending"),
        ("MODEL.FCOS.PRIOR_PROB", 1.0, "between 0 and 1"),
        ("MODEL.FCOS.NUM_CLASSES", 1, "counts the background"),
        ("INPUT.MIN_SIZE_RANGE_TRAIN", [800, 640], "ascending"),
        ("INPUT.MIN_SIZE_TRAIN", [0], "from 1 on"),
        ("INPUT.MAX_SIZE_TEST", 0, "at least 1"),
        ("SOLVER.WARMUP_METHOD", "poly", "must be one of constant, linear"),
        ("SOLVER.OPTIMIZER", "lamb", "must be one of sgd, torch_sgd"),
        ("SOLVER.IMS_PER_BATCH", 15, "no multiple of IMS_PER_DEVICE 2"),
        ("SOLVER.MAX_ITER", 40001, "no multiple of CHECKPOINT_PERIOD 2500"),
    ],
)
def test_what_does_not_fit_is_refused(key, value, message):
    with pytest.raises(ConfigError, match=message):
        fcos_config.load(None, {key: value})


def test_mobilenet_is_trained_whole():
    keys = {"MODEL.BACKBONE.CONV_BODY": "MNV2-FPN-RETINANET"}
    with pytest.raises(ConfigError, match="FREEZE_CONV_BODY_AT must be 0 for MNV2"):
        fcos_config.load(None, keys)
    fcos_config.load(None, {**keys, "MODEL.BACKBONE.FREEZE_CONV_BODY_AT": 0})
