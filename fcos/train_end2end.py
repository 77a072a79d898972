"""Train FCOS end to end."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from fullconv.fcos import assembly
from fullconv.fcos.config import METHOD
from fullconv.fcos.data import training_entries, training_set
from fullconv.fcos.loader import TrainSource
from fullconv.fcos.metric import OUTPUT_NAMES, fcos_metrics
from fullconv.fcos.symbols.fcos import train_symbol
from fullconv.fcos.targets import FILLS
from fullconv.fcos.weights import CLASS_UNITS, start_weights
from fullconv.lib.core.endless_order import endless_order
from fullconv.lib.core.loader import EpochLoader
from fullconv.lib.core.sampler import EndlessSampler, Share, update_size
from fullconv.lib.core.trainer import Trainer
from fullconv.lib.experiment.command_line import TRAIN, Run, main
from fullconv.lib.experiment.session import Session
from fullconv.lib.network.statistics import measured, unmeasured

MEASURED = 16
"""Batches that the statistics of batch norms are measured on where the start weights have none."""


def model_prefix(run: Run) -> Path:
    """Prefix of the checkpoints: `<output folder>/model`."""
    return run.settings.folder(run.args.cfg, "+".join(run.config.DATASETS.TRAIN)) / "model"


class Training(Session):
    """FCOS being trained. What the loop calls an epoch is SOLVER.CHECKPOINT_PERIOD iterations."""

    units = CLASS_UNITS

    def __init__(self, run: Run) -> None:
        config, solver = run.config, run.config.SOLVER
        data = training_set(config)
        self.entries = training_entries(data, config.DATA.empty_images)
        super().__init__(run.settings, config, Path(run.args.cfg).stem, model_prefix(run), {"": data.classes})
        loss, images = assembly.loss_spec(config), solver.IMS_PER_DEVICE
        self.symbol = train_symbol(assembly.network_spec(config, data.num_classes), loss)
        order = endless_order(self.entries, images, run.settings.seed, config.DATALOADER.ASPECT_RATIO_GROUPING)
        inputs, seed = assembly.train_input(config), run.settings.seed
        source = TrainSource(self.entries, inputs, loss, order, solver.IMS_PER_BATCH, seed)
        self.trainer = Trainer(
            self.symbol,
            run.contexts,
            source.largest_shapes(images),
            momentum=solver.MOMENTUM,
            wd=solver.WEIGHT_DECAY,
            accumulate=assembly.accumulated(config, len(run.contexts) * self.world.size),
            kvstore=run.settings.kvstore,
            optimizer=solver.OPTIMIZER,
            rules=assembly.rules(config),
            joint_norms=config.MODEL.USE_SYNCBN,
            fills=FILLS,
        )
        share = Share(self.trainer.batches_per_step, *self.trainer.worker)
        period = min(solver.CHECKPOINT_PERIOD, solver.MAX_ITER)
        sampler = EndlessSampler(order, period * share.batches, images, share)
        self.loader = EpochLoader(sampler, source, run.settings.num_workers)
        self.images_per_update = update_size(images, share)

    def start_weights(self) -> None:
        """Pretrained or initial arrays, see `fcos.weights`."""
        shapes, start = self.trainer.param_shapes(), assembly.start(self.config)
        arrays = start_weights(shapes, start, self.settings.generator(), self.logger.info)
        if start.path and unmeasured(self.symbol, arrays):
            self.logger.info(
                f"{start.path} has no batch norms: their statistics are measured on the first {MEASURED} batches"
            )
            arrays = measured(self.symbol, arrays, islice(self.loader.epoch(0), MEASURED))
        self.trainer.set_params(arrays, arrays)

    def run(self, resume: bool) -> None:
        """Train to the last iteration."""
        begin, solver = self.begin(resume), self.config.SOLVER
        self.logger.info(
            f"{len(self.entries)} images, {self.images_per_update} per update, {solver.MAX_ITER} updates, a checkpoint "
            f"every {min(solver.CHECKPOINT_PERIOD, solver.MAX_ITER)}, lr {solver.BASE_LR:g}"
        )
        advice = assembly.rate_advice(solver)
        if advice:
            self.logger.info(advice)
        if self.config.MODEL.USE_SYNCBN:
            self.logger.info(assembly.norm_remark(solver, len(self.trainer.contexts), self.images_per_update))
        metrics, rates = fcos_metrics(self.trainer.batches_per_update), assembly.schedule(solver)
        self.fit(metrics, OUTPUT_NAMES, rates, range(begin, assembly.pieces(solver)), self.images_per_update)


def train(run: Run) -> None:
    """Train as the run's config says; checkpoints, logs and curves are in the output folder."""
    Training(run).train(run.args.resume)


if __name__ == "__main__":
    main(METHOD, __doc__, train, parts=[TRAIN])
