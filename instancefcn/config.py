"""Every configuration key of InstanceFCN with its default: the paper's setting, as far as the paper states it.

The paper came without code. Where it leaves something open, the key says so with the values that its readings would
give; the first is ours (docs/instancefcn_readings.md says why). Yaml files change keys, and so do `--set KEY VALUE` and
trailing `KEY VALUE` words. `lib.experiment.config` says how values are read.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from easydict import EasyDict

from fullconv.instancefcn.checks import check
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.command_line import TEST, Method, Option
from fullconv.lib.experiment.default_group import KEYS, default_group, from_default_group


def defaults() -> EasyDict:
    """A fresh copy of the defaults; nested groups are attributes (`config.TRAIN.lr`)."""
    config = EasyDict()
    config.output_path = "./output/instancefcn"  # results go to <output_path>/<yaml name>/<image sets>/
    config.symbol = "vgg16"  # backbone: vgg16, or resnet_v1_{50,101,152,small}
    config.gpus = ""  # device ids, "0,1,2,3"; for training and testing
    config.SCALES = [119, 178, 267, 400, 600, 900]  # short sides, 600 x 1.5^(-4..1): one drawn in training, all in test
    # Instead of SCALES: factors on an image's own size, as for COCO [0.25, 0.3536, 0.5, 0.7071, 1.0, 1.4142, 2.0].
    config.SCALE_FACTORS = []
    config.MAX_SIZE = 0  # of the long side; 0, as published: any
    config.default = default_group(kvstore="device")
    config.network = _network()
    config.dataset = _dataset()
    config.TRAIN = _train()
    config.TEST = _test()
    config.CLASSIFIER = _classifier()
    return config


def _network() -> EasyDict:
    group = EasyDict()
    group.pretrained = "./model/pretrained_model/vgg16.params"  # .params or .caffemodel; "": from scratch
    group.PIXEL_MEANS = np.array([102.9801, 115.9465, 122.7717])  # blue, green, red
    group.IMAGE_STRIDE = 8  # pad images to a multiple of this
    group.WIDTH = 1.0  # factor on all channels of vgg16
    group.GN_CHANNELS = 0  # above 0: GroupNorm over so many channels, for training from scratch; not vgg16's body
    group.FEATURE = ""  # map of the backbone to stand on; "": conv5_3 of vgg16, res5 of a ResNet
    group.HIDDEN = 512  # channels of the first convolution of each branch
    group.HEAD = "instancefcn"  # instancefcn; deepmask: the paper's baseline, fully connected on crops
    group.GROUP = 5  # k: score maps have k x k relative positions; 3 and 7 in Table 1; 1 is a plain FCN
    group.WINDOW = 21  # m: cells of a window's side
    # Open: cells of a window from their parts where k does not divide m. centre: by the middle of the cell, its own
    # mirror image; floor: as position-sensitive pooling does.
    group.CELL_RULE = "centre"
    group.DEEPMASK = [14, 512, 1024, 56]  # baseline: side of a crop's map, rank, second score layer, side of masks
    # Not stated: arrays whose names begin so are not trained (as MNC has it).
    group.FIXED_PARAMS = ["conv1_", "conv2_"]
    group.BIAS_LR = 2.0  # not stated: factor on the rate of biases (as MNC has it); 1
    group.BIAS_WD = 0.0  # likewise on their decay; 1
    return group


def _dataset() -> EasyDict:
    group = EasyDict()
    group.dataset = "PascalVOC"  # PascalVOC, coco or shapes; with masks
    group.image_set = "SDS_train"  # several are joined by "+"
    group.test_image_set = "SDS_val"
    group.root_path = "./data"  # caches go below it
    group.dataset_path = ""  # "": <root_path>/VOCdevkit and so on
    group.empty_images = False  # also train on images without objects, as background
    return group


def _train() -> EasyDict:
    group = EasyDict()
    # optimisation, by updates
    group.lr = 0.001
    group.lr_step = [32000]  # updates after which lr is divided by 10
    group.max_iter = 40000
    group.snapshot = 4000  # updates between checkpoints
    group.momentum = 0.9
    group.wd = 0.0005
    group.optimizer = "sgd"  # sgd, adam, muon
    group.warmup_step = 0  # updates at warmup_lr
    group.warmup_lr = 0.0
    group.BATCH_IMAGES = 8  # images of one update, on all devices together
    group.IMS_PER_DEVICE = 1  # at a time; devices repeat until BATCH_IMAGES are done
    # Open: gradients of an update's images are averaged, as Caffe does, or summed (false).
    group.AVERAGE = True
    group.FLIP = True  # open: images are mirrored by lot; false
    # image: whole images. crop: crops of CROP_SIDE pixels around windows, as DeepMask is trained (Table 2).
    group.INPUT = "image"
    group.CROP_SIDE = 224
    # windows
    group.WINDOWS = 256  # drawn of each image; with INPUT crop, so many crops
    group.POSITIVE_SHARE = 0.5  # at most
    # Open: what is drawn where positives are few. rpn: negatives fill up to WINDOWS; strict: as many as positives.
    group.FILL = "rpn"
    # Open: the longer side of an object that fits a window. 128 pixels as in DeepMask's crops of 224, or 96, the same
    # share of the window; then SHIFT 12 and NEGATIVE_SHIFT 24.
    group.CANONICAL = 128.0
    group.SHIFT = 16.0  # pixels from the object's middle, in either direction, to which a window is positive
    group.NEGATIVE_SHIFT = 32.0  # from which it is negative
    # Open: factor between an object's side and CANONICAL to which it is positive. 1.2247, half a step of SCALES, or
    # DeepMask's 1.1892, which leaves gaps between them.
    group.SCALE_TOLERANCE = 1.5**0.5
    group.NEGATIVE_SCALE = 2.0  # from which it is negative
    group.MASK_SHARE = 0.5  # open: share of a cell's pixels that are the object's; 0.4
    # losses
    # Open: mean over windows and cells, or sum, as printed; that is some 441 times as large and needs a smaller lr.
    group.LOSS_NORM = "mean"
    group.LOSS_WEIGHT = [1.0, 1.0]  # open: objectness, masks; masks 2 (MNC), 10 (FCIS), objectness 1/32 (DeepMask)
    group.MASK_WINDOWS = "positives"  # open: whose masks are learned: positives, or all, as printed
    group.seed = 3  # of initial weights, data order, sizes and windows
    return group


def _test() -> EasyDict:
    group = EasyDict()
    group.test_epoch = 0  # number of the checkpoint; 0: the newest
    group.MASK_THRESH = 0.5  # open: probability from which a pixel is the object's; 0.4 (MNC), 0.2 (DeepMask on COCO)
    group.NMS = 0.8  # IoU of boxes above which the lower of two proposals is dropped, over all scales together
    group.PROPOSALS = 1000  # kept of an image
    group.PRE_NMS = 0  # windows of an image that are looked at, best first; 0, as published: all
    # evaluation: average recall of masks, at so many proposals
    group.AR_COUNTS = [10, 100, 1000]
    # Open: coco: one to one, in the order of scores; best: the best proposal of each object; cover: one to one,
    # best pair first. lib/evaluation/average_recall.py has the exact definitions.
    group.AR_DEFINITION = "coco"
    # Also over those objects alone that are within so many pixels of another; -1 leaves it out.
    group.TOUCHING = -1
    return group


def _classifier() -> EasyDict:
    """The second step, the class of each proposal: its own network and training (`instancefcn.classifier`).

    The paper says Fast R-CNN with masks on features; the rest is CFM's recipe, which also gets its segments from
    elsewhere.
    """
    group = EasyDict()
    group.proposals = ""  # files of the training and the test set's proposals; "": where testing this config left them
    group.test_proposals = ""
    group.PROPOSALS = 300  # best of an image
    # network
    group.pretrained = "./model/pretrained_model/vgg16.params"  # as network.pretrained; with fc6 and fc7
    group.STRIDE = 16  # of the map that proposals are pooled from; 8
    group.FEATURE = ""  # as network.FEATURE
    group.HIDDEN = 4096  # width of fc6 and fc7, of boxes and of masks
    group.SCALES = [480, 576, 688, 864, 1024]  # short sides; one drawn in training, in test by the proposal's size
    group.MAX_SIZE = 1500
    group.CANONICAL = 224  # in test a proposal is seen at the scale where its box is nearest to a square of this side
    group.MASK_INPUT = 0.4  # share from which a cell of the mask on the features is on
    # training
    group.ROIS = 64  # of an image
    group.SHARES = [0.3, 0.5, 0.2]  # of them with box IoU of 0.5 and more, 0.1 to 0.5, below
    group.BBOX_STDS = [0.1, 0.1, 0.2, 0.2]
    group.LOSS_WEIGHT = [1.0, 1.0, 1.0]  # class of boxes, class of segments, boxes
    group.lr = 0.001
    group.lr_step = [20000]
    group.max_iter = 30000
    group.snapshot = 5000
    group.warmup_step = 0
    group.warmup_lr = 0.0
    group.BATCH_IMAGES = 8
    group.IMS_PER_DEVICE = 1
    # results
    group.test_epoch = 0
    group.NMS = 0.3  # of each class
    group.VOTING = "gpu"  # mask voting by either of MNC's rules, gpu or cpu; "": the proposals' own masks
    group.MERGE_THRESH = 0.5  # box IoU from which a proposal votes
    group.BINARY_THRESH = 0.4  # share of votes from which a pixel is the object's
    group.MASK_SIZE = 28  # side of the masks in boxes that results are kept as; MNC 21
    group.max_per_image = 100
    group.thresh = 1e-3  # least score without voting
    return group


load = base.loader(defaults, check, "InstanceFCN")

METHOD = Method(
    "InstanceFCN",
    load,
    from_default_group,
    *KEYS,
    options=(Option("ignore_cache", "test again even if proposals are on disk", part=TEST),),
    immaterial=(
        "output_path",
        "default.*",
        "dataset.root_path",
        "dataset.dataset_path",
        "dataset.test_image_set",
        "TRAIN.max_iter",  # steps are absolute: a longer run begins like a shorter one
        "TEST.*",
        "CLASSIFIER.*",
    ),
)
"""What the scripts need to know."""

OF_PROPOSALS = (
    "SCALES",
    "SCALE_FACTORS",
    "MAX_SIZE",
    *(f"network.{key}" for key in ("pretrained", "IMAGE_STRIDE", "FEATURE", "HIDDEN", "HEAD", "GROUP", "WINDOW")),
    *("network.CELL_RULE", "network.DEEPMASK"),
    *(f"TRAIN.{key}" for key in _train() if key not in ("momentum", "wd", "optimizer", "FLIP", "seed")),
)
"""Keys that say how proposals are made, which to the classifier are a file."""

CLASSIFIER_METHOD = replace(
    METHOD,
    name="InstanceFCN's classifier",
    options=(Option("ignore_cache", "test again even if detections are on disk", part=TEST),),
    immaterial=(
        *OF_PROPOSALS,
        "output_path",
        "default.*",
        "dataset.root_path",
        "dataset.dataset_path",
        "dataset.test_image_set",
        "TEST.*",
        "CLASSIFIER.max_iter",
        "CLASSIFIER.test_*",
        "CLASSIFIER.NMS",
        "CLASSIFIER.VOTING",
        "CLASSIFIER.MERGE_THRESH",
        "CLASSIFIER.BINARY_THRESH",
        "CLASSIFIER.MASK_SIZE",
        "CLASSIFIER.max_per_image",
        "CLASSIFIER.thresh",
    ),
)
"""The same for the second step's scripts."""
