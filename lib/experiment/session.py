"""A training run in progress and the files it leaves behind: what the methods share."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from easydict import EasyDict

from fullconv.lib.core import checkpoint, distributed, run_record
from fullconv.lib.core.bad_images import Care
from fullconv.lib.core.checked_file import as_numpy
from fullconv.lib.core.engine import fit
from fullconv.lib.core.loader import Batch, EpochLoader
from fullconv.lib.core.matching import match_params
from fullconv.lib.core.metric import MetricSet
from fullconv.lib.core.progress import Progress
from fullconv.lib.core.schedule import Schedule
from fullconv.lib.core.trainer import Trainer
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment import run_folder
from fullconv.lib.experiment.class_file import check_classes, write_classes
from fullconv.lib.experiment.settings import Settings
from fullconv.lib.utils import atomic
from fullconv.lib.utils.logger import RunLogger
from fullconv.lib.visualize.curves import write_curves


class Point(NamedTuple):
    """Where a run goes on: after `epoch`, which was `chosen` by number or is the newest."""

    epoch: int
    chosen: bool


class Session:
    """Logs, checkpoints and the loop around a trainer.

    A method's session sets `symbol`, `trainer` and `loader` in its constructor and says in `start_weights` what
    training starts from. Beside the checkpoints `<prefix>-NNNN.params` stand the resolved config and the class names.

    config: resolved, to be saved and compared. name: of the log files. prefix: of the checkpoints. classes: suffix of
    the file name -> class names, as {"": [...]} for `<prefix>-classes.txt`.

    A run owns its prefix while it trains (`lib.experiment.run_folder`): no other run writes there, and what an earlier
    one left is moved aside or, with `restore`, taken up. Of several processes (`lib.core.distributed`) the first one
    reads and writes all that, and the others get the weights from it.
    """

    symbol: mx.sym.Symbol
    trainer: Trainer
    record: run_record.RunRecord
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
        self.settings, self.config, self.classes = settings, config, classes
        self.name, self.prefix = name, Path(prefix)
        self.world = distributed.join(settings.kvstore)
        self.resumed: Optional[Point] = None
        self.later: Sequence[Path] = ()
        """Prefixes of stages that follow from this one, and are begun anew with it."""
        self.logger = RunLogger(self.prefix.parent, name, settings.tensorboard, silent=not self.world.first)

    def describe(self) -> None:
        """Class names and resolved config beside the checkpoints, for the demo and for people."""
        for suffix, names in self.classes.items():
            write_classes(self.prefix, names, suffix)
        base.save(self.config, str(self.prefix.with_name(f"{self.prefix.name}-config.yaml")))

    def check_classes(self) -> None:
        """Raise ValueError where the checkpoints to go on from know as many but other classes."""
        if self.world.first:
            check_classes(self.prefix, self.classes[""])

    def start_weights(self) -> None:
        """Give the trainer the weights that training starts from; called by `start` of the first process."""
        raise NotImplementedError

    def start(self) -> None:
        """The weights that training starts from, in the first process; `fit` gives them to the others."""
        if self.world.first:
            self.start_weights()

    def begin(self, resume: bool) -> int:
        """Fill in the parameters; returns the first epoch to train: after the newest whole checkpoint, or 0."""
        if resume:
            self.check_classes()
            return self.restore()
        self.start()
        return 0

    def run(self, resume: bool) -> None:
        """Train to the end, from the start weights or the newest checkpoint."""
        raise NotImplementedError

    def train(self, resume: bool) -> None:
        """`run`, and a line about how long it took."""
        started = time.time()
        self.run(resume)
        took = f"{time.time() - started:.0f} s"
        self.logger.info(f"{self.name}: training took {took}; results in {self.prefix.parent}")

    def derived_params(self, args: Mapping[str, mx.nd.NDArray]) -> Dict[str, mx.nd.NDArray]:
        """Arrays that checkpoints hold besides the parameters."""
        return {}

    def restore(self, epoch: Optional[int] = None) -> int:
        """Take up the state after `epoch`, or after the newest whole one; returns the epoch to go on with.

        Raises CheckpointError: nothing to resume from, or arrays that do not fit the network.
        """
        return self.world.of_first(lambda: self._load_state(epoch))

    def _load_state(self, epoch: Optional[int]) -> int:
        state = checkpoint.load_state(str(self.prefix), epoch)
        self.resumed = Point(state.epoch, chosen=epoch is not None)
        shapes = self.trainer.param_shapes()
        params = match_params(shapes, state.arg_params, state.aux_params, units=self.units, source=state.path)
        self.trainer.set_params(*params)
        if not state.weights_alone:
            self.trainer.set_optimizer_state(state.momentum)
            self.trainer.num_update = _updates_done(state)
        else:
            self.logger.warning(f"{state.path}: weights alone: momentum starts anew, as the original's does")
            self.trainer.num_update = state.epoch * (len(self.loader) // self.trainer.batches_per_step)
        self.logger.info(f"resumed from {state.path} after update {self.trainer.num_update}")
        return state.epoch

    def save(self, epoch: int) -> None:
        """Checkpoint after epoch `epoch` (file number epoch + 1). All processes come together here, so that they go on
        from what is saved; the first one writes, in `write`.
        """
        if not self.trainer.share():
            self.logger.warning("the processes' numbers had drifted apart: all have the first one's now")
        if self.world.first:
            self.write(epoch)
        self.world.rest()

    def write(self, epoch: int) -> None:
        """Write the checkpoint; in the first process alone."""
        prefix = str(self.prefix)
        self.notice_losses()
        args, aux = self.trainer.get_params()
        checkpoint.save_params(prefix, epoch + 1, self.symbol, {**args, **self.derived_params(args)}, aux)
        progress = {"num_update": self.trainer.num_update}
        checkpoint.save_state(prefix, epoch + 1, self.trainer.get_optimizer_state(), progress, (args, aux))
        checkpoint.prune(prefix, self.settings.checkpoint_keep)
        self.record = run_record.read(prefix) or self.record
        self.logger.info(f"saved {checkpoint.params_path(prefix, epoch + 1)}")
        self.draw_curves()

    def draw_curves(self) -> None:
        """The metrics so far, beside the checkpoints; the first process's task."""
        if self.world.first:
            write_curves(self.logger.jsonl_path, f"{self.prefix}-curves.png")

    def notice_losses(self) -> None:
        """Say which files of this run somebody removed while it went on, and write anew what can be."""
        prefix, before = str(self.prefix), self.record
        found = run_record.read(prefix)
        files = before.files if found is None else found.files
        lost = [name for name in files if not self.prefix.with_name(name).exists()]
        if found is None:
            self.prefix.parent.mkdir(parents=True, exist_ok=True)
            self.describe()
        if found is None or lost:
            left = {name: digest for name, digest in files.items() if name not in lost}
            run_record.write(prefix, replace(before, files=left))
            gone = f"{self.prefix.parent} was removed or emptied while the run wrote there"
            what = gone if found is None else "files of this run were removed"
            self.logger.warning(f"{what}; lost: {', '.join(lost) or 'no checkpoint'}")

    def keep_evidence(self, batches: Sequence[Batch], bad: List[str], images: Sequence[str]) -> str:
        """The batches of the update at which divergence was noticed, the first process's, and the state after it, in
        `<prefix>-diverged.npz`: `batch0:<input>`, ..., `arg:`, `aux:` and `momentum:<array>`, `json`.
        """
        kept = self._write_evidence(batches, bad, images) if self.world.first else ""
        self.world.rest()
        return kept

    def _write_evidence(self, batches: Sequence[Batch], bad: List[str], images: Sequence[str]) -> str:
        path = f"{self.prefix}-diverged.npz"
        args, aux = self.trainer.get_params()
        states = {"arg": args, "aux": aux, "momentum": self.trainer.get_optimizer_state()}
        groups = {**{f"batch{number}": batch for number, batch in enumerate(batches)}, **states}
        arrays = {f"{kind}:{name}": as_numpy(array) for kind, group in groups.items() for name, array in group.items()}
        facts = {"num_update": self.trainer.num_update, "not finite": bad, "images": list(images)}
        try:
            atomic.write_npz(path, {**arrays, "json": np.array(json.dumps(facts))})
        except OSError as error:
            return f"The batch could not be kept ({error})"
        return f"The batch and the state are kept in {path}"

    def fit(
        self,
        metrics: MetricSet,
        output_names: Sequence[str],
        schedule: Schedule,
        epochs: range,
        images_per_update: int,
    ) -> None:
        """Train over `epochs`, with a line of progress now and then and a checkpoint after each.

        Raises LockedError: another run is writing there; CheckpointError: an earlier run's files are there and
        `Settings.used` says to refuse, or settings are others than the resumed run's.
        """
        care = self.settings
        self.loader.care = Care(care.loader_timeout, care.bad_images, care.bad_images_limit)
        per_epoch = len(self.loader) // self.trainer.batches_per_step
        frequent, updates, logger = self.settings.frequent, len(epochs) * per_epoch, self.logger
        progress = Progress(
            logger.progress,
            logger.record,
            frequent,
            images_per_update,
            updates,
            self.draw_curves,
            silent=not self.world.first,
        )
        metrics.world = self.world
        amounts = {"images per update": images_per_update, "updates per epoch": per_epoch}
        self.check_agreement(amounts)
        self.trainer.share()
        parts = (
            self.trainer,
            self.loader,
            metrics,
            output_names,
            schedule,
            epochs,
            progress,
            self.save,
            self.logger.info,
        )
        with run_folder.claimed([self.prefix, *self.later] if self.world.first else []):
            if self.world.first:
                self.take_possession(amounts)
                self.describe()
            self.world.rest()
            fit(*parts, seed=self.settings.seed, evidence=self.keep_evidence)
        if self.loader.left_out.names:
            self.logger.warning(f"left out: {len(self.loader.left_out.names)} images that cannot be read")

    def check_agreement(self, amounts: Mapping[str, Any]) -> None:
        """Raise ValueError, in every process, where one has other settings or data than the first: gradients would be
        summed that do not belong together.
        """
        if self.world.size == 1:
            return
        mine = {**run_folder.determining(self.config, self.settings), **amounts, "images": self.loader.fingerprint()}
        texts = self.world.texts(json.dumps(mine, sort_keys=True, default=str))
        first, names = json.loads(texts[0]), self.world.texts(str(self.world))
        for name, text in zip(names, texts):
            other = json.loads(text)
            keys = [key for key in {**first, **other} if first.get(key) != other.get(key)]
            if keys:
                raise ValueError(
                    f"{name} trains with other {', '.join(keys)} than {names[0]}: give all the same code, "
                    "configuration and data"
                )

    def determining(self) -> Dict[str, Any]:
        """The settings that this training's numbers follow from."""
        return run_folder.determining(self.config, self.settings)

    def take_possession(self, amounts: Mapping[str, int]) -> None:
        """Record the run, or that it goes on. amounts: what follows from devices and data, not from the config."""
        first = [Path(name).name for name in self.loader.items(0, 0)]
        settings = {**self.determining(), **amounts, "images of the first batch": first}
        logs = [self.logger.log_path.name, self.logger.jsonl_path.name]
        start = "" if self.resumed else _digest(*self.trainer.get_params())
        record = run_record.new(self.settings.method, settings, start, logs)
        if self.resumed:
            run_folder.go_on(self.prefix, *self.resumed, self.settings, self.logger.info, record)
        else:
            run_folder.begin([self.prefix, *self.later], self.settings, self.logger.info, record)
        self.record = run_record.read(str(self.prefix)) or record


def _updates_done(state: checkpoint.State) -> int:
    """Of a resumed run. Raises CheckpointError: the file does not say."""
    done = state.progress.get("num_update")
    if not isinstance(done, int) or isinstance(done, bool) or done < 0:
        raise checkpoint.CheckpointError(
            f"{state.path}: num_update, the updates done, is {done!r}: the schedule cannot go on from there; "
            f"delete it to resume from the weights alone, or use another epoch"
        )
    return done


def _digest(*groups: Mapping[str, mx.nd.NDArray]) -> str:
    """sha256 of arrays and their names."""
    digest = hashlib.sha256()
    for group in groups:
        for name in sorted(group):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(group[name].asnumpy()).data)
    return digest.hexdigest()
