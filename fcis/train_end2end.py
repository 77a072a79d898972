"""Train FCIS end to end (original section 6)."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Mapping

import mxnet as mx

from fullconv.fcis import assembly
from fullconv.fcis.config import METHOD
from fullconv.fcis.data import training_entries, training_set
from fullconv.fcis.loader import order_of
from fullconv.fcis.metric import OUTPUT_NAMES, fcis_metrics
from fullconv.fcis.symbols.fcis import FCIS, GROUP
from fullconv.fcis.weights import CLASS_UNITS, start_weights
from fullconv.lib.bbox.fold import fold_bbox_normalization
from fullconv.lib.core.loader import EpochLoader
from fullconv.lib.core.sampler import EpochSampler, Share, update_size
from fullconv.lib.core.trainer import Trainer
from fullconv.lib.experiment.command_line import TRAIN, Run, main
from fullconv.lib.experiment.session import Session


def model_prefix(run: Run) -> Path:
    """Prefix of the checkpoints: `<output folder>/<TRAIN.model_prefix>`."""
    folder = run.settings.folder(run.args.cfg, run.config.dataset.image_set)
    return folder / (run.config.TRAIN.model_prefix or "e2e")


class Training(Session):
    """FCIS being trained."""

    units = CLASS_UNITS

    def __init__(self, run: Run) -> None:
        config, train = run.config, run.config.TRAIN
        data = training_set(config.dataset)
        self.entries = training_entries(data, train.FLIP)
        super().__init__(run.settings, config, Path(run.args.cfg).stem, model_prefix(run), {"": data.classes})
        network = assembly.network_spec(config, data.num_classes)
        self.symbol = FCIS(network).train_symbol(assembly.train_spec(config))
        source = assembly.train_source(config, self.entries, self.symbol)
        self.trainer = Trainer(
            self.symbol,
            run.contexts,
            source.largest_shapes(train.BATCH_IMAGES),
            config.network.FIXED_PARAMS,
            train.momentum,
            train.wd,
            train.grad_accumulate,
            run.settings.kvstore,
        )
        share = Share(self.trainer.batches_per_step, *self.trainer.worker)
        self.images_per_update = update_size(train.BATCH_IMAGES, share)
        order = order_of(self.entries, train.SHUFFLE, train.ASPECT_GROUPING, self.images_per_update)
        sampler = EpochSampler(len(self.entries), train.BATCH_IMAGES, order, train.seed, share)
        self.loader = EpochLoader(sampler, source, run.settings.num_workers)
        self.updates_per_epoch = len(self.loader) // self.trainer.batches_per_step

    def begin(self, resume: bool) -> int:
        """Fill in the parameters; returns the first epoch to train: after the newest whole checkpoint with --resume,
        after TRAIN.begin_epoch with TRAIN.RESUME, else TRAIN.begin_epoch from the start weights."""
        train = self.config.TRAIN
        if resume or train.RESUME:
            self.check_classes()
            return self.restore(None if resume else train.begin_epoch)
        self.start()
        # The rate is a function of the update's number, so earlier epochs are counted as if they had been trained
        # here.
        self.trainer.num_update = train.begin_epoch * self.updates_per_epoch
        return train.begin_epoch

    def start_weights(self) -> None:
        """Pretrained or random arrays, see `fcis.weights`."""
        # One dict serves for parameters and statistics: names tell which is which.
        shapes, start = self.trainer.param_shapes(), assembly.start(self.config)
        arrays = start_weights(shapes, start, self.settings.generator(), self.logger.info)
        self.trainer.set_params(arrays, arrays)

    def derived_params(self, args: Mapping[str, mx.nd.NDArray]) -> Dict[str, mx.nd.NDArray]:
        """The box layer with the targets' normalisation folded in, as the original's `fcis_bbox_*_test`."""
        train = self.config.TRAIN
        groups = args["fcis_bbox_bias"].size // (4 * GROUP * GROUP)
        weight, bias = fold_bbox_normalization(
            args["fcis_bbox_weight"].asnumpy(),
            args["fcis_bbox_bias"].asnumpy(),
            # The four numbers hold for background and object alike, as in the original's files.
            list(train.BBOX_MEANS) * groups,
            list(train.BBOX_STDS) * groups,
        )
        return {"fcis_bbox_weight_test": mx.nd.array(weight), "fcis_bbox_bias_test": mx.nd.array(bias)}

    def run(self, resume: bool) -> None:
        """Train to the last epoch."""
        begin, train = self.begin(resume), self.config.TRAIN
        self.logger.info(
            f"{len(self.entries)} images (mirrored included), {self.images_per_update} per update, "
            f"{self.updates_per_epoch} updates per epoch, lr {train.lr:g} on summed gradients"
        )
        rates = assembly.schedule(train, len(self.entries), self.images_per_update)
        self.fit(fcis_metrics(), OUTPUT_NAMES, rates, range(begin, train.end_epoch), self.images_per_update)


def train(run: Run) -> None:
    """Train as the run's config says; checkpoints, logs and curves are in the output folder."""
    Training(run).train(run.args.resume)


if __name__ == "__main__":
    main(METHOD, __doc__, train, parts=[TRAIN])
