"""Train FCN as published: 32s, then 16s and 8s from it, or any single network."""

from __future__ import annotations

import fnmatch
import time
from pathlib import Path
from typing import List

import mxnet as mx
import numpy as np

from fullconv.fcn import config as fcn_config
from fullconv.fcn.config import POLY, words
from fullconv.fcn.convert import start_from
from fullconv.fcn.crops import CropLoader, Regions
from fullconv.fcn.data import class_files, network_for, training_set
from fullconv.fcn.loader import SegmentationLoader, Snapshots, feeds
from fullconv.fcn.metric import fcn_metrics, output_names
from fullconv.fcn.sampling import BALANCED
from fullconv.fcn.symbols import FCN, Classifier, initial_params, initial_statistics
from fullconv.lib.core import checkpoint
from fullconv.lib.core.optimizer import PolySchedule, Schedule, WarmupMultiFactorSchedule
from fullconv.lib.core.trainer import Trainer
from fullconv.lib.experiment import command_line as experiment
from fullconv.lib.experiment.config import parse_numbers
from fullconv.lib.experiment.session import Session


def model_prefix(config, cfg_path: str) -> Path:
    """Prefix of a stage's checkpoints: `<output folder>/<network>`."""
    return experiment.output_folder(config, cfg_path, config.dataset.image_set) / config.symbol


def schedule(train) -> Schedule:
    """Learning rate by update: fixed (original), unless TRAIN.lr_policy, lr_step or warmup_step say otherwise."""
    rate, last = float(train.lr), int(train.max_iter)
    if train.lr_policy == POLY:
        return PolySchedule(rate, last, train.power, train.warmup_step, train.warmup_lr)
    steps = [int(share * last) for share in parse_numbers(train.lr_step)]
    return WarmupMultiFactorSchedule(rate, steps, 0.1, train.warmup_step, train.warmup_lr)


def snapshots(config) -> int:
    """Checkpoints that a stage writes."""
    return int(config.TRAIN.max_iter) // int(config.TRAIN.snapshot)


class Stage(Session):
    """The training of one network. config: of this stage (`fcn.config.stages`). regions: of the data set, for all
    stages."""

    def __init__(self, run: experiment.Run, config, regions: Regions) -> None:
        dataset = regions.dataset
        net = network_for(config, dataset)
        inputs, labels = feeds(dataset, net)
        task = next(iter(labels.values()))
        classes = {head.label: dataset.tasks[head.label] for head in net.heads}
        super().__init__(config, config.symbol, model_prefix(config, run.args.cfg), class_files(classes))
        self.net, train = net, config.TRAIN
        # Gradients are averaged over iter_size and over devices, as Caffe does; the loss is not.
        batches = train.iter_size * len(run.contexts)
        workers = config.default.num_workers
        if isinstance(net, Classifier):
            loader = CropLoader(
                dataset, inputs, labels, regions.of(task), train.seed, train.crops, train.crop_size, workers
            )
        else:
            found = regions.of(task) if train.order == BALANCED else ()
            loader = SegmentationLoader(
                dataset, inputs, labels, train.order, train.seed, train.BATCH_IMAGES, train.FLIP, workers, found
            )
            net.check_sizes(dataset.image_ids, loader.sizes)
        self.symbol = net.train_symbol(train.normalization or None)
        fixed = config.network.FIXED_PARAMS if config.network.pretrained else ()
        self.trainer = Trainer(
            self.symbol,
            run.contexts,
            loader.largest_shapes(),
            momentum=train.momentum,
            wd=train.wd,
            accumulate=train.iter_size,
            kvstore=config.default.kvstore,
            rescale_grad=1 / batches,
            optimizer=train.optimizer,
            fixed_prefixes=fixed,
        )
        self.loader = Snapshots(loader, int(train.snapshot) * batches)
        self.images_per_update = batches * loader.batch

    def start_weights(self) -> None:
        """Weights of `network.pretrained` where it has any, see `fcn.convert.start_from`; else everything random."""
        network = self.config.network
        sources = words(network.pretrained)
        if not sources:
            params = initial_params(self.net, self.config.TRAIN.seed)
        else:
            _check_present(sources, self.config.symbol)
            skipped = skipped_layers(self.net, network.skip)
            params, lines = start_from(self.net, sources, skipped, self.config.TRAIN.seed)
            for line in lines:
                self.logger.info(line)
        statistics = {name: mx.nd.array(value) for name, value in initial_statistics(self.net).items()}
        self.trainer.set_params({name: mx.nd.array(value) for name, value in params.items()}, statistics)

    def run(self, resume: bool) -> None:
        """Train to the last snapshot."""
        begin = 0
        if resume:
            begin = self.restore()
        else:
            self.start_weights()
        train, data = self.config.TRAIN, self.loader.loader.dataset
        count = sum(int(np.prod(shape)) for shape in self.trainer.param_shapes().values())
        self.logger.info(
            f"{self.config.symbol}: {count} parameters; {data.name}, {len(data)} images, {self.images_per_update} per "
            f"update; {train.max_iter} updates, lr {train.lr}, loss normalised by "
            f"{train.normalization or self.net.network.normalization}"
        )
        heads = self.net.heads
        self.fit(
            fcn_metrics(heads),
            output_names(heads),
            schedule(train),
            range(begin, snapshots(self.config)),
            self.images_per_update,
        )


def skipped_layers(net: FCN, patterns: str) -> List[str]:
    """Names of the network's layers that match any of the comma separated patterns."""
    names = [layer.name for layer in net.layers]
    return sorted({name for pattern in words(patterns) for name in fnmatch.filter(names, pattern)})


def _check_present(sources: List[str], symbol: str) -> None:
    for path in sources:
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"{path}: no such file. {symbol} starts from these weights (experiments/fcn/README.md says where they "
                "come from); name others with --set network.pretrained FILE, or train from scratch with "
                "--set network.pretrained ''"
            )


def train(run: experiment.Run) -> None:
    """Train the networks of `symbol` in order, each from the one before; checkpoints and logs are in the output folder.

    With --resume, finished stages are passed over and the unfinished one goes on from its newest checkpoint.
    """
    previous, regions = "", Regions(training_set(run.config))
    for number, config in enumerate(fcn_config.stages(run.config)):
        config.network.pretrained = previous or config.network.pretrained
        prefix = str(model_prefix(config, run.args.cfg))
        previous = checkpoint.params_path(prefix, snapshots(config))
        newest = checkpoint.latest(prefix, resumable=True) if run.args.resume else None
        if newest == snapshots(config):
            print(f"{config.symbol} is finished: {previous}")
        else:
            # A later stage may not have saved anything yet; the first one must have, or there is nothing to resume.
            _train_stage(run, config, regions, resume=run.args.resume and (newest is not None or number == 0))


def _train_stage(run: experiment.Run, config, regions: Regions, resume: bool) -> None:
    """One stage, whose memory is free when this returns."""
    started = time.time()
    stage = Stage(run, config, regions)
    stage.run(resume)
    folder = stage.prefix.parent
    stage.logger.info(f"{config.symbol}: training took {time.time() - started:.0f} s; results in {folder}")
    stage.logger.close()


if __name__ == "__main__":
    experiment.main(fcn_config.load, __doc__, train)
