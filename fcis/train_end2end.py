"""Train FCIS end to end (original section 6)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Dict, Mapping

import mxnet as mx

from fullconv.fcis import config as fcis_config
from fullconv.fcis.data import CLASS_UNITS, build_imdb, check_classes, training_roidb
from fullconv.fcis.loader import TrainLoader, largest_shapes
from fullconv.fcis.metric import OUTPUT_NAMES, fcis_metrics
from fullconv.fcis.symbols.fcis import FCIS, GROUP
from fullconv.fcis.weights import start_weights
from fullconv.lib.bbox.fold import fold_bbox_normalization
from fullconv.lib.core.optimizer import WarmupMultiFactorSchedule
from fullconv.lib.core.trainer import Trainer
from fullconv.lib.experiment import command_line as experiment
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.session import Session


def model_prefix(config, cfg_path: str) -> Path:
    """Prefix of the checkpoints: `<output folder>/<TRAIN.model_prefix>`."""
    folder = experiment.output_folder(config, cfg_path, config.dataset.image_set)
    return folder / (config.TRAIN.model_prefix or "e2e")


def schedule(config, roidb_size: int, images_per_update: int) -> WarmupMultiFactorSchedule:
    """Learning rate by update, counted from epoch 0 whatever epoch the run begins with.

    TRAIN.lr_step counts epochs of the roidb with mirrored copies, fractions allowed, as the original does.
    """
    train = config.TRAIN
    steps = [int(epoch * roidb_size / images_per_update) for epoch in base.parse_numbers(train.lr_step)]
    warmup_step = train.warmup_step if train.warmup else 0
    return WarmupMultiFactorSchedule(train.lr, steps, 0.1, warmup_step, train.warmup_lr)


class Training(Session):
    """FCIS being trained: network, roidb and the files of `lib.experiment.session.Session`."""

    units = CLASS_UNITS

    def __init__(self, run: experiment.Run) -> None:
        config, train = run.config, run.config.TRAIN
        imdb = build_imdb(config, config.dataset.image_set)
        self.roidb = training_roidb(imdb, config)
        super().__init__(config, Path(run.args.cfg).stem, model_prefix(config, run.args.cfg), {"": imdb.classes})
        network = FCIS(fcis_config.network_spec(config, imdb.num_classes))
        self.symbol = network.train_symbol(fcis_config.train_spec(config))
        self.trainer = Trainer(
            self.symbol,
            run.contexts,
            largest_shapes(config, self.symbol, self.roidb),
            config.network.FIXED_PARAMS,
            train.momentum,
            train.wd,
            train.grad_accumulate,
            config.default.kvstore,
        )
        batches, worker = self.trainer.batches_per_step, self.trainer.worker
        self.loader = TrainLoader(self.roidb, config, self.symbol, batches, worker)
        self.images_per_update = batches * worker[1] * train.BATCH_IMAGES
        self.updates_per_epoch = len(self.loader) // self.trainer.batches_per_step

    def begin(self, resume: bool) -> int:
        """Fill in the parameters; returns the first epoch to train: after the newest whole checkpoint with --resume,
        after TRAIN.begin_epoch with TRAIN.RESUME, else TRAIN.begin_epoch from the start weights."""
        train = self.config.TRAIN
        if resume or train.RESUME:
            check_classes(self.prefix, self.classes[""])
            return self.restore(None if resume else train.begin_epoch)
        self.start_weights()
        self.trainer.num_update = train.begin_epoch * self.updates_per_epoch
        return train.begin_epoch

    def start_weights(self) -> None:
        """Pretrained or random arrays, see `fcis.weights`."""
        start = start_weights(self.trainer.param_shapes(), self.config.network, self.logger.info)
        self.trainer.set_params(start, start)

    def derived_params(self, args: Mapping[str, mx.nd.NDArray]) -> Dict[str, mx.nd.NDArray]:
        """The box layer with the targets' normalisation folded in, as the original's `fcis_bbox_*_test`."""
        train = self.config.TRAIN
        groups = args["fcis_bbox_bias"].size // (4 * GROUP * GROUP)
        weight, bias = fold_bbox_normalization(
            args["fcis_bbox_weight"].asnumpy(),
            args["fcis_bbox_bias"].asnumpy(),
            list(train.BBOX_MEANS) * groups,
            list(train.BBOX_STDS) * groups,
        )
        return {"fcis_bbox_weight_test": mx.nd.array(weight), "fcis_bbox_bias_test": mx.nd.array(bias)}

    def run(self, resume: bool) -> None:
        """Train to the last epoch."""
        begin, train = self.begin(resume), self.config.TRAIN
        self.logger.info(
            f"{len(self.roidb)} images (mirrored included), {self.images_per_update} per update, "
            f"{self.updates_per_epoch} updates per epoch, lr {train.lr:g} on summed gradients"
        )
        rates = schedule(self.config, len(self.roidb), self.images_per_update)
        self.fit(fcis_metrics(), OUTPUT_NAMES, rates, range(begin, train.end_epoch), self.images_per_update)


def train(run: experiment.Run) -> None:
    """Train as the run's config says; checkpoints, logs and curves are in the output folder."""
    started = time.time()
    training = Training(run)
    training.run(run.args.resume)
    training.logger.info(f"training took {time.time() - started:.0f} s; results in {training.prefix.parent}")


if __name__ == "__main__":
    experiment.main(fcis_config.load, __doc__, train)
