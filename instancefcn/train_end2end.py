"""Train InstanceFCN, or the baseline that it is compared with."""

from __future__ import annotations

from pathlib import Path

from fullconv.instancefcn import assembly
from fullconv.instancefcn.config import METHOD
from fullconv.instancefcn.data import training_entries, training_set
from fullconv.instancefcn.metric import OUTPUT_NAMES, instancefcn_metrics
from fullconv.instancefcn.symbols.instancefcn import train_symbol
from fullconv.instancefcn.weights import start_weights
from fullconv.lib.core.endless_order import endless_order
from fullconv.lib.core.loader import EpochLoader
from fullconv.lib.core.sampler import EndlessSampler, Share, update_size
from fullconv.lib.core.trainer import Trainer
from fullconv.lib.experiment.command_line import TRAIN, Run, main
from fullconv.lib.experiment.session import Session

PROPOSALS = ["__background__", "object"]
"""Class names of a network that knows objects only."""


def model_prefix(run: Run) -> Path:
    """Prefix of the checkpoints: `<output folder>/model`."""
    return run.settings.folder(run.args.cfg, run.config.dataset.image_set) / "model"


class Training(Session):
    """A network being trained. What the loop calls an epoch is TRAIN.snapshot updates."""

    def __init__(self, run: Run) -> None:
        config, train = run.config, run.config.TRAIN
        self.entries = training_entries(training_set(config.dataset), config.dataset.empty_images)
        super().__init__(run.settings, config, Path(run.args.cfg).stem, model_prefix(run), {"": PROPOSALS})
        self.symbol = train_symbol(assembly.network_spec(config), assembly.loss_spec(config))
        source, images = assembly.train_source(config, self.entries), train.IMS_PER_DEVICE
        self.trainer = Trainer(
            self.symbol,
            run.contexts,
            source.largest_shapes(images),
            momentum=train.momentum,
            wd=train.wd,
            accumulate=assembly.accumulated(train, len(run.contexts)),
            kvstore=run.settings.kvstore,
            optimizer=train.optimizer,
            rules=assembly.rules(config),
            # A loss is the mean over the images of its batch.
            rescale_grad=1.0 if train.AVERAGE else float(images),
            average=train.AVERAGE,
        )
        share = Share(self.trainer.batches_per_step, *self.trainer.worker)
        self.images_per_update = update_size(images, share)
        # Images of one orientation together, so that little is padded.
        order = endless_order(self.entries, images, run.settings.seed)
        period = min(train.snapshot, train.max_iter)
        sampler = EndlessSampler(order, period * share.batches, images, share)
        self.loader = EpochLoader(sampler, source, run.settings.num_workers)

    def start_weights(self) -> None:
        """Pretrained or random arrays, see `instancefcn.weights`."""
        shapes, start = self.trainer.param_shapes(), assembly.start(self.config)
        arrays = start_weights(shapes, start, self.settings.generator(), self.logger.info)
        self.trainer.set_params(arrays, arrays)

    def run(self, resume: bool) -> None:
        """Train to the last update."""
        begin, train = self.begin(resume), self.config.TRAIN
        self.logger.info(
            f"{len(self.entries)} images, {self.images_per_update} per update, {train.max_iter} updates, a checkpoint "
            f"every {min(train.snapshot, train.max_iter)}, lr {train.lr:g}, {self.trainer.parameter_count()} parameters"
        )
        rates, pieces = assembly.schedule(train), range(begin, assembly.pieces(train))
        self.fit(instancefcn_metrics(), OUTPUT_NAMES, rates, pieces, self.images_per_update)


def train(run: Run) -> None:
    """Train as the run's config says; checkpoints, logs and curves are in the output folder."""
    Training(run).train(run.args.resume)


if __name__ == "__main__":
    main(METHOD, __doc__, train, parts=[TRAIN])
