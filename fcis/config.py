"""Every configuration key of FCIS with its default.

Names and defaults are the original's, so that its published yaml files load unchanged; keys that only this
implementation has stand at the end of each group, under "ours". Yaml files change them, and so do
`--set KEY VALUE` and trailing `KEY VALUE` words. `lib.experiment.config` says how values are read.
"""

from __future__ import annotations

from typing import Set

import numpy as np
from easydict import EasyDict

from fullconv.lib.core.trainer import KVSTORES
from fullconv.lib.dataset.registry import DETECTION, READERS
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.command_line import TEST, Method, Option
from fullconv.lib.experiment.config import ConfigError
from fullconv.lib.experiment.default_group import KEYS, default_group, from_default_group
from fullconv.lib.network.resnet_spec import RESNETS


def defaults() -> EasyDict:
    """A fresh copy of the defaults; nested groups are attributes (`config.TRAIN.lr`)."""
    config = EasyDict()
    config.MXNET_VERSION = ""  # read from the original's files and ignored: MXNet comes from the environment
    config.output_path = ""  # results go to <output_path>/<yaml name>/<image sets>/
    config.symbol = ""  # backbone and method: resnet_v1_{50,101,152,small}_fcis
    config.gpus = ""  # device ids, "0,1,2,3"; for training and testing
    config.CLASS_AGNOSTIC = True  # box regression for background and object, not for each class
    config.SCALES = [(600, 1000)]  # (short side, longest long side) of the resized image, one drawn per image
    config.MASK_SIZE = 21  # side of mask targets and results
    config.BINARY_THRESH = 0.4  # a mask pixel is on from here, at test and evaluation
    config.default = default_group(kvstore="device")
    config.network = _network()
    config.dataset = _dataset()
    config.TRAIN = _train()
    config.TEST = _test()
    return config


def _network() -> EasyDict:
    group = EasyDict()
    group.pretrained = "./model/pretrained_model/resnet_v2_101"  # the backbone's file; "": from scratch
    group.pretrained_epoch = 0
    group.PIXEL_MEANS = np.array([0.0, 0.0, 0.0])  # blue, green, red
    group.IMAGE_STRIDE = 0  # pad images to a multiple of this; 0 pads nothing
    group.RPN_FEAT_STRIDE = 16
    group.RCNN_FEAT_STRIDE = 16  # unused by the original too
    group.FIXED_PARAMS = ["conv0", "stage1", "gamma", "beta"]  # arrays whose name starts so are not trained
    group.FIXED_PARAMS_SHARED = ["conv0", "stage1", "stage2", "stage3", "gamma", "beta"]  # unused, as there
    group.ANCHOR_RATIOS = [0.5, 1.0, 2.0]
    group.ANCHOR_SCALES = [8.0, 16.0, 32.0]  # times 16 pixels
    group.NUM_ANCHORS = 9  # follows from ratios and scales when not given
    # ours
    group.BN_TRAINED = False  # False: normalise with the file's statistics, as published
    # above 0: GroupNorm over so many channels instead of BatchNorm, for training from scratch with few images per
    # device; 1 is instance normalisation
    group.GN_CHANNELS = 0
    return group


def _dataset() -> EasyDict:
    group = EasyDict()
    group.dataset = "PascalVOC"  # PascalVOC, coco or shapes
    group.image_set = "SDS_train"  # several are joined by "+"
    group.test_image_set = "SDS_val"
    group.root_path = "./data"  # caches go below it
    group.dataset_path = "./data/VOCdevkit"
    group.NUM_CLASSES = 21  # with background; 0: as many as the data has
    group.proposal = "rpn"  # read from the original's files and ignored
    return group


def _train() -> EasyDict:
    group = EasyDict()
    # optimisation
    group.lr = 0.0005  # per device: gradients are summed over devices
    group.lr_step = ""  # epochs after which lr is divided by 10: "5.33" or "3,6"
    group.warmup = False
    group.warmup_lr = 0.0
    group.warmup_step = 0  # updates at warmup_lr
    group.momentum = 0.9
    group.wd = 0.0005
    group.begin_epoch = 0
    group.end_epoch = 0
    group.model_prefix = ""
    group.RESUME = False  # go on from begin_epoch
    # batches
    group.FLIP = True
    group.SHUFFLE = True
    group.ENABLE_OHEM = False
    group.BATCH_IMAGES = 2  # per device
    group.END2END = False
    group.ASPECT_GROUPING = True  # landscape and portrait images in separate batches
    # rois
    group.BATCH_ROIS = 128  # rois per image; -1 takes all, for OHEM
    group.BATCH_ROIS_OHEM = 128  # rois OHEM keeps, and the divisor of its losses
    group.FG_FRACTION = 0.25
    group.FG_THRESH = 0.5
    group.BG_THRESH_HI = 0.5  # background: IoU in [LO, HI)
    group.BG_THRESH_LO = 0.0
    group.BBOX_REGRESSION_THRESH = 0.5  # unused end to end
    group.BBOX_WEIGHTS = np.array([1.0, 1.0, 1.0, 1.0])
    # region proposals
    group.RPN_BATCH_SIZE = 256
    group.RPN_FG_FRACTION = 0.5
    group.RPN_POSITIVE_OVERLAP = 0.7
    group.RPN_NEGATIVE_OVERLAP = 0.3
    group.RPN_CLOBBER_POSITIVES = False
    group.RPN_BBOX_WEIGHTS = [1.0, 1.0, 1.0, 1.0]
    group.RPN_POSITIVE_WEIGHT = -1.0  # unused by the original too
    group.CXX_PROPOSAL = True  # MXNet's own proposal operator; false, as published: the rule of the original's
    group.RPN_NMS_THRESH = 0.7
    group.RPN_PRE_NMS_TOP_N = 12000
    group.RPN_POST_NMS_TOP_N = 2000
    group.RPN_MIN_SIZE = 16  # pixels of the resized image
    group.RPN_ALLOWED_BORDER = 0
    group.GAP_SELECT_FROM_ALL = True  # fill up with any roi, or only with those not foreground
    group.IGNORE_GAP = False  # filled-up rois count in no loss
    # targets and losses
    group.BINARY_THRESH = 0.4  # a mask target pixel is on from here
    group.BBOX_NORMALIZATION_PRECOMPUTED = False
    group.BBOX_MEANS = [0.0, 0.0, 0.0, 0.0]
    group.BBOX_STDS = [0.1, 0.1, 0.2, 0.2]
    group.LOSS_WEIGHT = [1.0, 10.0, 1.0]  # class, mask, box
    group.CONVNEW3 = False  # conv_new_1 learns three times as fast
    # ours
    group.grad_accumulate = 1  # batches whose gradients are summed before an update: one device as n devices
    group.seed = 3  # of initial weights, data order and roi sampling
    return group


def _test() -> EasyDict:
    group = EasyDict()
    group.HAS_RPN = False
    group.BATCH_IMAGES = 1
    # region proposals
    group.CXX_PROPOSAL = True  # as in TRAIN
    group.RPN_NMS_THRESH = 0.7
    group.RPN_PRE_NMS_TOP_N = 6000
    group.RPN_POST_NMS_TOP_N = 300
    group.RPN_MIN_SIZE = 16
    group.PROPOSAL_NMS_THRESH = 0.7  # PROPOSAL_*: unused by the original too
    group.PROPOSAL_PRE_NMS_TOP_N = 20000
    group.PROPOSAL_POST_NMS_TOP_N = 2000
    group.PROPOSAL_MIN_SIZE = 16
    # results
    group.NMS = 0.3
    group.test_epoch = 0
    group.ITER = 1  # 2: a second pass with the regressed rois
    group.MIN_DROP_SIZE = 16  # drop smaller rois, in pixels of the resized image; only with ITER 2
    group.USE_MASK_MERGE = False  # mask voting
    group.USE_GPU_MASK_MERGE = False
    group.MASK_MERGE_THRESH = 0.5  # box IoU from which a roi votes
    # ours
    group.FUSED_HEAD = True  # one operator from score maps to results; same numbers, less memory
    group.MASK_MERGE_RULE = "gpu"  # arithmetic of the original's "gpu" or "cpu" voting; either runs anywhere
    group.max_per_image = 100  # detections kept by mask voting
    group.thresh = 1e-3  # least score of a detection without mask voting
    group.PROPOSAL_RECALL = []  # also measure the recall of the best so many proposals of an image: [100, 300]
    return group


ANCHOR_BASE = 16
"""Pixels that ANCHOR_SCALES multiply, whatever the stride."""


def check(config: EasyDict, given: Set[str]) -> None:
    """Fill in what follows from other keys and refuse values that do not fit together.

    Args:
        given: dotted keys that a file or the command line set.

    Raises:
        ConfigError: names the key, the value and what it must be.
    """
    _check_names(config, given)
    _check_anchors(config, given)
    base.one_of("network.RPN_FEAT_STRIDE", config.network.RPN_FEAT_STRIDE, (8, 16))
    base.one_of("TEST.ITER", config.TEST.ITER, (1, 2))
    # The original's testing takes one image at a time as well, though it has the key.
    base.one_of("TEST.BATCH_IMAGES", config.TEST.BATCH_IMAGES, (1,))
    base.one_of("TEST.MASK_MERGE_RULE", config.TEST.MASK_MERGE_RULE, ("gpu", "cpu"))
    _only_true("TRAIN.END2END", config.TRAIN.END2END, given)
    if "TEST.MASK_MERGE_RULE" not in given:
        config.TEST.MASK_MERGE_RULE = "gpu" if config.TEST.USE_GPU_MASK_MERGE else "cpu"
    _only_true("TEST.HAS_RPN", config.TEST.HAS_RPN, given)
    least = config.TEST.RPN_POST_NMS_TOP_N
    if not all(isinstance(n, int) and 0 < n <= least for n in config.TEST.PROPOSAL_RECALL):
        raise ConfigError(
            f"TEST.PROPOSAL_RECALL is {config.TEST.PROPOSAL_RECALL}; it holds numbers of proposals, 1 to "
            f"TEST.RPN_POST_NMS_TOP_N {least}"
        )
    for phase in ("TRAIN", "TEST"):
        if config[phase].CXX_PROPOSAL and config.network.RPN_FEAT_STRIDE != ANCHOR_BASE:
            raise ConfigError(
                f"{phase}.CXX_PROPOSAL is true and network.RPN_FEAT_STRIDE {config.network.RPN_FEAT_STRIDE}: MXNet's "
                f"own proposal operator has anchors of one stride, and the RPN learns those of {ANCHOR_BASE} pixels; "
                f"set {phase}.CXX_PROPOSAL false"
            )
    leaves = dict(base.flatten(config))
    positive = "MASK_SIZE default.frequent TRAIN.BATCH_IMAGES TEST.BATCH_IMAGES TRAIN.grad_accumulate"
    for key in positive.split():
        if leaves[key] < 1:
            raise ConfigError(f"{key} is {leaves[key]}; it must be at least 1")
    if not config.SCALES or min(map(min, config.SCALES)) < 16:
        raise ConfigError(f"SCALES is {config.SCALES}; it takes (short side, longest long side) of at least 16 pixels")
    for key, length in (("BBOX_MEANS", 4), ("BBOX_STDS", 4), ("RPN_BBOX_WEIGHTS", 4), ("LOSS_WEIGHT", 3)):
        if len(config.TRAIN[key]) != length:
            raise ConfigError(f"TRAIN.{key} has {len(config.TRAIN[key])} numbers; it needs {length}")
    if config.TRAIN.BATCH_ROIS < 0 and not config.TRAIN.ENABLE_OHEM:
        raise ConfigError("TRAIN.BATCH_ROIS -1 (all rois) needs TRAIN.ENABLE_OHEM true, which picks among them")
    try:
        base.parse_numbers(config.TRAIN.lr_step)
    except ConfigError as error:
        raise ConfigError(f"TRAIN.lr_step is {config.TRAIN.lr_step!r}: {error}") from None


def _check_names(config: EasyDict, given: Set[str]) -> None:
    """What can only be one of a few words."""
    base.one_of("default.kvstore", config.default.kvstore, KVSTORES)
    base.one_of("dataset.dataset", config.dataset.dataset, READERS[DETECTION])
    if "symbol" in given:
        backbones = [name for name in RESNETS if name.startswith("resnet_v1")]
        base.one_of("symbol", config.symbol, [*(f"{name}_fcis" for name in backbones), *backbones])


def _check_anchors(config: EasyDict, given: Set[str]) -> None:
    network = config.network
    count = len(network.ANCHOR_SCALES) * len(network.ANCHOR_RATIOS)
    if "network.NUM_ANCHORS" in given and network.NUM_ANCHORS != count:
        raise ConfigError(
            f"network.NUM_ANCHORS is {network.NUM_ANCHORS}, but {len(network.ANCHOR_SCALES)} ANCHOR_SCALES "
            f"times {len(network.ANCHOR_RATIOS)} ANCHOR_RATIOS make {count}; set that, or leave the key out"
        )
    network.NUM_ANCHORS = count


def _only_true(key: str, value: bool, given: Set[str]) -> None:
    """The original has loaders for nothing else, so an explicit false cannot mean anything."""
    if key in given and not value:
        raise ConfigError(f"{key} is false; only end-to-end training with region proposals exists (true)")


load = base.loader(defaults, check, "FCIS")

METHOD = Method(
    "FCIS",
    load,
    from_default_group,
    *KEYS,
    options=(
        Option("thresh", "least score of a detection without mask voting", "TEST.thresh", part=TEST),
        Option("ignore_cache", "test again even if detections are on disk", part=TEST),
    ),
    accumulate="TRAIN.grad_accumulate",
    # Accumulated batches count as images per update, which are compared (`lib.experiment.session`).
    immaterial=(
        "MXNET_VERSION",
        "output_path",
        "BINARY_THRESH",
        "default.*",
        "dataset.root_path",
        "dataset.dataset_path",
        "dataset.test_image_set",
        "dataset.proposal",
        "TRAIN.begin_epoch",
        "TRAIN.end_epoch",
        "TRAIN.model_prefix",
        "TRAIN.RESUME",
        "TRAIN.grad_accumulate",
        "TEST.*",
    ),
)
"""What the scripts need to know."""
