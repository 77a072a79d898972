"""Every configuration key of FCOS with its default.

Names and defaults are the original's, so that its published yaml files load unchanged; keys that only this
implementation has stand at the end of each group, under "ours", or in the groups DATA and RUN. Yaml files change them,
and so do `--set KEY VALUE` and trailing `KEY VALUE` words. `lib.experiment.config` says how values are read.
"""

from __future__ import annotations

from typing import Any, Optional, Set

import numpy as np
from easydict import EasyDict

from fullconv.fcos.checks import check
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.command_line import TEST, Method, Option
from fullconv.lib.experiment.default_group import add_run_keys
from fullconv.lib.experiment.settings import Settings


def load(path: Optional[str] = None, overrides: base.Overrides = ()) -> EasyDict:
    """Defaults, then the yaml at `path`, then `overrides`, checked.

    Raises:
        ConfigError: unknown key, wrong type, or values that do not fit together.
        FileNotFoundError: no file at `path`.
    """
    return base.load(defaults(), path, overrides, _check, "FCOS")


def defaults() -> EasyDict:
    """A fresh copy of the defaults; nested groups are attributes (`config.SOLVER.BASE_LR`)."""
    config = EasyDict()
    config.OUTPUT_DIR = "./output/fcos"  # results go to <OUTPUT_DIR>/<yaml name>/<image sets>/; "." there
    config.MODEL = _model()
    config.INPUT = _input()
    config.DATASETS = _datasets()
    config.DATALOADER = _dataloader()
    config.SOLVER = _solver()
    config.TEST = _test()
    config.DATA = _data()
    config.RUN = _run()
    return config


def _model() -> EasyDict:
    group = EasyDict()
    group.META_ARCHITECTURE = "GeneralizedRCNN"
    group.FCOS_ON = True
    group.RPN_ONLY = False
    group.MASK_ON = False
    group.KEYPOINT_ON = False
    group.RETINANET_ON = False
    group.DEVICE = "cuda"  # read and ignored: see RUN
    group.WEIGHT = ""  # what training starts from and, for --test_weight, is tested; "": from scratch
    group.USE_SYNCBN = False  # batch statistics of all devices together
    group.BACKBONE = EasyDict(CONV_BODY="R-50-C4", FREEZE_CONV_BODY_AT=2, USE_GN=False)
    group.FPN = EasyDict(USE_GN=False, USE_RELU=False)
    group.GROUP_NORM = EasyDict(DIM_PER_GP=-1, NUM_GROUPS=32, EPSILON=1e-5)  # of BACKBONE.USE_GN, not of the head
    group.RESNETS = _resnets()
    group.RETINANET = EasyDict(USE_C5=True)  # P6 from the backbone's last map instead of from P5
    group.FCOS = _fcos()
    # ours
    # Arrays (file-name patterns) that keep their initial values whatever WEIGHT has: for other classes
    # ["rpn.head.cls_logits_*"].
    group.LEAVE_OUT = [""]
    return group


def _resnets() -> EasyDict:
    group = EasyDict()
    group.NUM_GROUPS = 1
    group.WIDTH_PER_GROUP = 64
    group.STRIDE_IN_1X1 = True
    group.TRANS_FUNC = "BottleneckWithFixedBatchNorm"
    group.STEM_FUNC = "StemWithFixedBatchNorm"
    group.RES5_DILATION = 1  # unused by the original too
    group.BACKBONE_OUT_CHANNELS = 1024  # channels of the pyramid
    group.RES2_OUT_CHANNELS = 256
    group.STEM_OUT_CHANNELS = 64
    group.STAGE_WITH_DCN = (False, False, False, False)
    group.WITH_MODULATED_DCN = False
    group.DEFORMABLE_GROUPS = 1
    return group


def _fcos() -> EasyDict:
    group = EasyDict()
    group.NUM_CLASSES = 81  # with the background; 0: as many as the data has
    group.FPN_STRIDES = [8, 16, 32, 64, 128]
    group.PRIOR_PROB = 0.01
    group.INFERENCE_TH = 0.05
    group.NMS_TH = 0.6
    group.PRE_NMS_TOP_N = 1000  # per level
    group.LOSS_ALPHA = 0.25
    group.LOSS_GAMMA = 2.0
    group.NUM_CONVS = 4
    group.CENTER_SAMPLING_RADIUS = 0.0  # in strides; 0: the whole box
    group.IOU_LOSS_TYPE = "iou"  # iou, linear_iou or giou
    group.NORM_REG_TARGETS = False
    group.CENTERNESS_ON_REG = False
    group.USE_DCN_IN_TOWER = False
    # ours
    group.SIZES_OF_INTEREST = [64.0, 128.0, 256.0, 512.0]  # pixels between two levels; numbers in the original's code
    return group


def _input() -> EasyDict:
    group = EasyDict()
    group.MIN_SIZE_TRAIN = [800]  # short sides, one drawn per image
    group.MIN_SIZE_RANGE_TRAIN = [-1, -1]  # from 0 on: all integers from the first to the second instead
    group.MAX_SIZE_TRAIN = 1333
    group.MIN_SIZE_TEST = 800
    group.MAX_SIZE_TEST = 1333
    group.PIXEL_MEAN = np.array([102.9801, 115.9465, 122.7717])  # blue, green, red with TO_BGR255
    group.PIXEL_STD = np.array([1.0, 1.0, 1.0])
    group.TO_BGR255 = True  # blue, green, red from 0 to 255; else red, green, blue from 0 to 1
    # ours
    group.FLIP_PROB_TRAIN = 0.5  # a number in the original's code
    return group


def _datasets() -> EasyDict:
    group = EasyDict()
    group.TRAIN = [""]  # image sets that are put together; the original's names, or image sets of DATA
    group.TEST = [""]
    return group


def _dataloader() -> EasyDict:
    group = EasyDict()
    group.NUM_WORKERS = 4  # threads that read images
    group.SIZE_DIVISIBILITY = 0  # pad to a multiple of it
    group.ASPECT_RATIO_GROUPING = True  # landscape and portrait images in separate batches
    return group


def _solver() -> EasyDict:
    group = EasyDict()
    group.MAX_ITER = 40000
    group.BASE_LR = 0.001
    group.BIAS_LR_FACTOR = 2.0
    group.DCONV_OFFSETS_LR_FACTOR = 1.0
    group.MOMENTUM = 0.9
    group.WEIGHT_DECAY = 0.0005
    group.WEIGHT_DECAY_BIAS = 0.0
    group.GAMMA = 0.1
    group.STEPS = [30000]
    group.WARMUP_FACTOR = 1.0 / 3
    group.WARMUP_ITERS = 500
    group.WARMUP_METHOD = "linear"  # or constant
    group.CHECKPOINT_PERIOD = 2500
    group.IMS_PER_BATCH = 16  # images of one update, on all devices together
    # ours
    group.IMS_PER_DEVICE = 2  # images at a time; devices repeat until IMS_PER_BATCH are done
    group.OPTIMIZER = "torch_sgd"  # the original's; or sgd, adam, muon
    return group


def _test() -> EasyDict:
    group = EasyDict()
    group.IMS_PER_BATCH = 8  # read and ignored: images go through one at a time
    group.DETECTIONS_PER_IMG = 100  # 0: all
    group.EXPECTED_RESULTS = []  # read and ignored, as its tolerance
    group.EXPECTED_RESULTS_SIGMA_TOL = 4
    group.BBOX_AUG = EasyDict(ENABLED=False, H_FLIP=False, SCALES=(), MAX_SIZE=4000, SCALE_H_FLIP=False)
    # ours
    group.test_epoch = 0  # number of the checkpoint; 0: the newest
    return group


def _data() -> EasyDict:
    """Ours: where DATASETS are."""
    group = EasyDict()
    group.dataset = ""  # coco, shapes, PascalVOC or voc_xml; "": COCO by the original's names (coco_2014_train, ...)
    group.root_path = "./data"  # caches, and default folders of data
    group.dataset_path = ""  # "": <root_path>/coco and so on
    group.empty_images = False  # also train on images without objects, as background; the original drops them
    group.model_path = "./model/pretrained_model"  # where catalog://... and http://... of MODEL.WEIGHT are looked for
    return group


def _run() -> EasyDict:
    """Ours: how a run is carried out."""
    group = EasyDict()
    group.frequent = 20  # updates between two log lines
    group.gpus = ""  # device ids, "0,1,2,3"
    group.devices = ""  # instead of gpus: "cpu", "cpu:2" (two devices on one processor), "gpu:0,1"
    group.kvstore = "device"  # local, device or dist_sync
    group.seed = 3  # of initial weights, data order, sizes and mirroring
    add_run_keys(group)
    return group


def settings(config: EasyDict) -> Settings:
    """What lib needs to know of a run."""
    return Settings(output_path=config.OUTPUT_DIR, num_workers=config.DATALOADER.NUM_WORKERS, **config.RUN)


METHOD = Method(
    "FCOS",
    load,
    settings,
    frequent="RUN.frequent",
    gpus="RUN.gpus",
    devices="RUN.devices",
    options=(
        Option("thresh", "least class probability of a detection", "MODEL.FCOS.INFERENCE_TH", part=TEST),
        Option("ignore_cache", "test again even if detections are on disk", part=TEST),
        Option("test_weight", "test MODEL.WEIGHT, a whole model, instead of what training left", part=TEST),
    ),
    immaterial=(
        "OUTPUT_DIR",
        "RUN.[!s]*",  # all but the seed, which numbers follow from
        "SOLVER.MAX_ITER",  # steps are absolute: a longer run begins like a shorter one
        "DATALOADER.NUM_WORKERS",
        "DATA.dataset_path",
        "DATA.root_path",
        "DATA.model_path",
        "DATASETS.TEST",
        "MODEL.FCOS.INFERENCE_TH",
        "MODEL.FCOS.NMS_TH",
        "MODEL.FCOS.PRE_NMS_TOP_N",
        "TEST.*",
    ),
)
"""What the scripts need to know."""


def _check(config: Any, given: Set[str]) -> None:
    # Lists need an item that says how theirs are read; an empty name in it means none.
    for group, key in ((config.DATASETS, "TRAIN"), (config.DATASETS, "TEST"), (config.MODEL, "LEAVE_OUT")):
        group[key] = [name for name in group[key] if name]
    check(config, given)
