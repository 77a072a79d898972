"""Every configuration key of FCN with its default.

Yaml files change them, and so do `--set KEY VALUE` and trailing `KEY VALUE` words; `lib.experiment.config` says how
values are read. Values said to be "per stage" are comma separated: one for every network of `symbol`, or one for all.
"""

from __future__ import annotations

import copy
from typing import Any, Dict, List, Set

from easydict import EasyDict

from fullconv.fcn.sampling import BALANCED, ORDERS
from fullconv.fcn.symbols import CLASSIFIER, NETWORKS, build
from fullconv.lib.core.optimizer import OPTIMIZERS
from fullconv.lib.core.trainer import KVSTORES
from fullconv.lib.dataset.registry import READERS, SEGMENTATION
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.command_line import Method
from fullconv.lib.experiment.config import ConfigError
from fullconv.lib.experiment.default_group import KEYS, default_group, from_default_group
from fullconv.lib.network.caffe.vgg16 import NORM_LEAST
from fullconv.lib.network.loss import NORMALIZATIONS


def defaults() -> EasyDict:
    """A fresh copy of the defaults; nested groups are attributes (`config.TRAIN.lr`)."""
    config = EasyDict()
    config.output_path = "./output/fcn"  # results go to <output_path>/<yaml name>/<image sets>/
    config.symbol = "voc-fcn32s"  # a network of fcn.symbols, or several, each trained from the one before
    config.gpus = ""  # device ids, "0,1,2,3"; for training and testing
    groups = {"network": _network(), "dataset": _dataset(), "TRAIN": _train(), "TEST": _test()}
    return EasyDict(config, default=default_group(kvstore="local"), **groups)


def _network() -> EasyDict:
    group = EasyDict()
    group.pretrained = ""  # .caffemodel or .params the first network starts from, two for two trunks; "": from scratch
    group.skip = ""  # layers not taken from it, patterns: "score*,upscore*" for another class count
    group.width = 1.0  # multiplies the channels of the trunk
    group.hidden = 4096  # channels of fc6 and fc7
    group.dropout = 0.5  # after fc6 and fc7
    group.norm = False  # normalise inside the trunk, to train without pretrained weights; see docs/fcn_training.md
    group.learn_upsampling = False  # as published; true: upsampling starts as bilinear interpolation and learns
    group.FIXED_PARAMS = []  # of networks that start from weights, arrays that stay as they are: [conv1, conv2]
    return group


def _dataset() -> EasyDict:
    group = EasyDict()
    group.dataset = "voc"  # voc, sbd, nyud, siftflow, pascal_context, camvid, folder, shapes, textured_shapes
    group.image_set = "train"  # several are joined by "+", the first n images are "train[:n]"
    group.root_path = "./data"  # where data sets are looked for without a path
    group.dataset_path = ""  # folder of the data set
    group.label_path = ""  # pascal_context: folder of the annotations
    group.palette = ""  # folder: palette file of colour-coded labels
    group.void = ""  # folder: labels to ignore besides 255, "11,12"
    group.test_dataset = ""  # "": that of training
    group.test_image_set = "val"
    group.test_dataset_path = ""  # "": that of training, unless test_dataset is given
    return group


def _train() -> EasyDict:
    group = EasyDict()
    group.lr = "1e-10"  # per stage; belongs to the loss's normalisation, see docs/fcn_training.md
    group.momentum = 0.99
    group.wd = 0.0005
    group.normalization = ""  # of the loss: batch (Caffe's normalize: false), valid, full, none; "": as published
    group.iter_size = 1  # batches whose gradients are averaged before an update
    group.max_iter = "100000"  # updates, per stage
    group.snapshot = "4000"  # updates between two checkpoints, per stage; divides max_iter
    group.score_snapshots = False  # also score every checkpoint on the test set, as the published scripts do
    group.order = "python2"  # of images: python2 (with replacement, as published), shuffle, sequential, balanced
    group.seed = 1337  # of the order, of weights that start at random and of dropout
    # ours
    group.optimizer = "sgd"  # or adam, muon, with a normalised loss and a lr of about 0.001; momentum is their beta1
    group.crops = 32  # cut-out regions in a batch of vgg16-classifier
    group.crop_size = 64  # their side in pixels
    group.BATCH_IMAGES = 1  # per device; smaller images are padded with void
    group.FLIP = False  # mirror every other image at random
    group.lr_policy = "step"  # or poly: lr (1 - iteration / max_iter)^power
    group.lr_step = ""  # step: shares of a stage after which lr is divided by 10, "0.7,0.9"; "": lr stays as it is
    group.power = 1.0  # poly
    group.warmup_lr = 0.0
    group.warmup_step = 0  # updates at warmup_lr, in every stage
    return group


def _test() -> EasyDict:
    group = EasyDict()
    group.test_epoch = 0  # number of the checkpoint; 0: the newest
    group.network = ""  # of those in symbol, which to test; "": each
    group.weights = ""  # test this .caffemodel or .params instead of a checkpoint
    group.tile = 1536  # larger images are run in pieces of at most this side, with the same scores
    return group


def network_options(config: EasyDict) -> Dict[str, Any]:
    """Options of `fcn.symbols.build`, but for the class counts, which are the data's."""
    keys = "width hidden dropout norm learn_upsampling"
    return {key: config.network[key] for key in keys.split()}


POSITIVE = (
    "default.frequent",
    "network.width",
    "network.hidden",
    "TRAIN.iter_size",
    "TRAIN.BATCH_IMAGES",
    "TRAIN.crops",
    "TRAIN.power",
)
PER_STAGE = ("lr", "max_iter", "snapshot")
STEP, POLY = "step", "poly"
"""Learning-rate policies, called as in Caffe's solvers."""


def stages(config: EasyDict) -> List[EasyDict]:
    """One config per network of `symbol`, in order, in which everything "per stage" is a single value.

    Every stage but the first starts from `network.pretrained` "", which the training fills in.
    """
    names = network_names(config)
    found = []
    for number, name in enumerate(names):
        stage = EasyDict(copy.deepcopy(dict(config)))
        stage.symbol = name
        for key in PER_STAGE:
            values = [word.strip() for word in config.TRAIN[key].split(",")]
            stage.TRAIN[key] = values[number if len(values) > 1 else 0]
        if number:
            stage.network.pretrained = stage.network.skip = ""
        found.append(stage)
    return found


def tested(config: EasyDict) -> List[EasyDict]:
    """The `stages` whose networks segment images."""
    return [stage for stage in stages(config) if stage.symbol != CLASSIFIER]


def network_names(config: EasyDict) -> List[str]:
    """The networks of `symbol`."""
    return words(config.symbol)


def words(text: str) -> List[str]:
    """Parts of comma separated text, `""` -> []."""
    return [word.strip() for word in text.split(",") if word.strip()]


def check(config: EasyDict, given: Set[str]) -> None:
    """Refuse values that do not fit together.

    Raises:
        ConfigError: names the key, the value and what it must be.
    """
    train, names = config.TRAIN, network_names(config)
    segmenting = [name for name in names if name != CLASSIFIER]
    _check_names(config, names)
    if CLASSIFIER in names[1:] or (CLASSIFIER in names and not config.network.norm):
        raise ConfigError(
            f"symbol is {config.symbol!r} and network.norm {config.network.norm}: {CLASSIFIER} must come first, and "
            "what starts from it needs network.norm true"
        )
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"symbol is {config.symbol!r}; name each network once, for example voc-fcn32s,voc-fcn16s")
    base.one_of("TEST.network", config.TEST.network, ("", *segmenting))
    for key in PER_STAGE:
        _check_stages(f"TRAIN.{key}", train[key], len(names), whole=key != "lr")
    for stage in stages(config):
        if int(stage.TRAIN.max_iter) % int(stage.TRAIN.snapshot):
            raise ConfigError(
                f"TRAIN.snapshot is {stage.TRAIN.snapshot}, which does not divide TRAIN.max_iter {stage.TRAIN.max_iter}"
            )
    if train.lr_policy == POLY and train.lr_step:
        raise ConfigError(f"TRAIN.lr_step is {train.lr_step!r}: it belongs to TRAIN.lr_policy step, leave it empty")
    for share in _numbers("TRAIN.lr_step", train.lr_step):
        if not 0 < share < 1:
            raise ConfigError(f"TRAIN.lr_step is {train.lr_step}; it holds shares of a stage, between 0 and 1")
    if not 0 <= train.momentum < 1:
        raise ConfigError(f"TRAIN.momentum is {train.momentum}; it must be at least 0 and below 1")
    if not 0 <= config.network.dropout < 1:
        raise ConfigError(f"network.dropout is {config.network.dropout}; it must be at least 0 and below 1")
    _check_fixed(config.network, segmenting)
    if train.crop_size < NORM_LEAST:
        raise ConfigError(f"TRAIN.crop_size is {train.crop_size}; {CLASSIFIER} takes {NORM_LEAST} pixels or more")
    leaves = dict(base.flatten(config))
    for key in POSITIVE:
        if leaves[key] <= 0:
            raise ConfigError(f"{key} is {leaves[key]}; it must be positive")


def _check_names(config: EasyDict, names: List[str]) -> None:
    """What can only be one of a few words."""
    train, data = config.TRAIN, config.dataset
    for name in names:
        base.one_of("symbol", name, (CLASSIFIER, *NETWORKS))
    base.one_of("default.kvstore", config.default.kvstore, KVSTORES)
    base.one_of("dataset.dataset", data.dataset, READERS[SEGMENTATION])
    base.one_of("dataset.test_dataset", data.test_dataset, ("", *READERS[SEGMENTATION]))
    base.one_of("TRAIN.order", train.order, (*ORDERS, BALANCED))
    base.one_of("TRAIN.lr_policy", train.lr_policy, (STEP, POLY))
    base.one_of("TRAIN.optimizer", train.optimizer, OPTIMIZERS)
    base.one_of("TRAIN.normalization", train.normalization, ("", *NORMALIZATIONS))


def _check_stages(key: str, text: str, count: int, whole: bool) -> None:
    values = _numbers(key, text)
    if len(values) not in (1, count):
        raise ConfigError(
            f"{key} is {text}: {len(values)} values for {count} networks; give one, or one for each "
            "(to test one of several stages leave `symbol` and set TEST.network)"
        )
    if min(values) <= 0 or (whole and any(value != int(value) for value in values)):
        raise ConfigError(f"{key} is {text}; it must be positive{' and whole' if whole else ''}")


def _check_fixed(network: EasyDict, names: List[str]) -> None:
    for name in names if network.FIXED_PARAMS else []:
        arrays = [array for layer in build(name, norm=network.norm).layers for array in layer.array_names()]
        for prefix in network.FIXED_PARAMS:
            if not any(array.startswith(prefix) for array in arrays):
                raise ConfigError(
                    f"network.FIXED_PARAMS has {prefix!r}, with which no array of {name} begins: they are called "
                    f"{arrays[0]}, {arrays[1]} ... {arrays[-1]}"
                )


def _numbers(key: str, text: str) -> List[float]:
    try:
        return base.parse_numbers(text)
    except ConfigError as error:
        raise ConfigError(f"{key} is {text!r}: {error}") from None


load = base.loader(defaults, check, "FCN")

METHOD = Method(
    "FCN",
    load,
    from_default_group,
    *KEYS,
    accumulate="TRAIN.iter_size",
    # Accumulated batches count as images per update, which are compared (`lib.experiment.session`).
    immaterial=(
        "output_path",
        "default.*",
        "dataset.root_path",
        "dataset.dataset_path",
        "dataset.label_path",
        "dataset.test_*",
        "TRAIN.iter_size",
        "TRAIN.max_iter",  # steps are absolute: a longer run begins like a shorter one; poly: `train_end2end`
        "TRAIN.score_snapshots",
        "TEST.*",
    ),
)
"""What the scripts need to know."""
