"""A training run in progress and the files it leaves behind: what the methods share."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Mapping, Optional, Sequence, Tuple

import mxnet as mx
from easydict import EasyDict

from fullconv.lib.core import checkpoint
from fullconv.lib.core.engine import fit
from fullconv.lib.core.loader import EpochLoader
from fullconv.lib.core.matching import match_params
from fullconv.lib.core.metric import MetricSet
from fullconv.lib.core.progress import Progress
from fullconv.lib.core.schedule import Schedule
from fullconv.lib.core.trainer import Trainer
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.class_file import write_classes
from fullconv.lib.experiment.settings import Settings
from fullconv.lib.utils.logger import RunLogger
from fullconv.lib.visualize.curves import write_curves


class Session:
    """Logs, checkpoints and the loop around a trainer.

    A method's session sets `symbol`, `trainer` and `loader` in its constructor and says in `start_weights` what
    training starts from. Beside the checkpoints `<prefix>-NNNN.params` stand the resolved config and the class names.

    config: resolved, only to be saved. name: of the log files. prefix: of the checkpoints. classes: suffix of the file
    name -> class names, as {"": [...]} for `<prefix>-classes.txt`.
    """

    symbol: mx.sym.Symbol
    trainer: Trainer
    loader: EpochLoader
    units: Mapping[str, Tuple[str, int]] = {}
    """What an array's first axis counts, for the message about a checkpoint that does not fit (`match_params`)."""

    def __init__(
        self,
        settings: Settings,
        config: EasyDict,
        name: str,
        prefix: Path,
        classes: Mapping[str, Sequence[str]],
    ) -> None:
        self.settings, self.config, self.prefix, self.classes = settings, config, Path(prefix), classes
        self.logger = RunLogger(self.prefix.parent, name, settings.tensorboard)

    def describe(self) -> None:
        """Class names and resolved config beside the checkpoints, for the demo and for people."""
        for suffix, names in self.classes.items():
            write_classes(self.prefix, names, suffix)
        base.save(self.config, str(self.prefix.with_name(f"{self.prefix.name}-config.yaml")))

    def start_weights(self) -> None:
        """Give the trainer the weights that training starts from."""
        raise NotImplementedError

    def derived_params(self, args: Mapping[str, mx.nd.NDArray]) -> Dict[str, mx.nd.NDArray]:
        """Arrays that checkpoints hold besides the parameters."""
        return {}

    def restore(self, epoch: Optional[int] = None) -> int:
        """Take up the state after `epoch`, or after the newest whole one; returns the epoch to go on with.

        Raises CheckpointError: nothing to resume from, or arrays that do not fit the network.
        """
        state = checkpoint.load_state(str(self.prefix), epoch)
        shapes = self.trainer.param_shapes()
        params = match_params(shapes, state.arg_params, state.aux_params, units=self.units, source=state.path)
        self.trainer.set_params(*params)
        self.trainer.set_optimizer_state(state.momentum)
        self.trainer.num_update = state.progress["num_update"]
        self.logger.info(f"resumed from {state.path} after update {self.trainer.num_update}")
        return state.epoch

    def save(self, epoch: int) -> None:
        """Checkpoint after epoch `epoch` (file number epoch + 1); in distributed training the first worker's task."""
        if self.trainer.worker[0] != 0:
            return
        prefix = str(self.prefix)
        args, aux = self.trainer.get_params()
        checkpoint.save_params(prefix, epoch + 1, self.symbol, {**args, **self.derived_params(args)}, aux)
        progress = {"num_update": self.trainer.num_update}
        checkpoint.save_state(prefix, epoch + 1, self.trainer.get_optimizer_state(), progress, (args, aux))
        checkpoint.prune(prefix, self.settings.checkpoint_keep)
        self.logger.info(f"saved {checkpoint.params_path(prefix, epoch + 1)}")
        self.draw_curves()

    def draw_curves(self) -> None:
        """The metrics so far, beside the checkpoints; in distributed training the first worker's task."""
        if self.trainer.worker[0] == 0:
            write_curves(self.logger.jsonl_path, f"{self.prefix}-curves.png")

    def fit(
        self,
        metrics: MetricSet,
        output_names: Sequence[str],
        schedule: Schedule,
        epochs: range,
        images_per_update: int,
    ) -> None:
        """Train over `epochs`, with a line of progress now and then and a checkpoint after each."""
        if self.trainer.worker[0] == 0:
            self.describe()
        updates = len(epochs) * (len(self.loader) // self.trainer.batches_per_step)
        frequent = self.settings.frequent
        logger = self.logger
        progress = Progress(logger.progress, logger.record, frequent, images_per_update, updates, self.draw_curves)
        fit(
            self.trainer,
            self.loader,
            metrics,
            output_names,
            schedule,
            epochs,
            progress,
            self.save,
            self.logger.info,
            self.settings.seed,
        )
