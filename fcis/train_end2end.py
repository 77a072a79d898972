"""Train FCIS end to end (original section 6)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Dict

import mxnet as mx

from fcis import config as fcis_config
from fcis.data import CLASS_UNITS, build_imdb, check_classes, classes_path, training_roidb
from fcis.loader import TrainLoader, largest_shapes
from fcis.metric import OUTPUT_NAMES, fcis_metrics
from fcis.symbols.fcis import FCIS, GROUP, NEW_LAYERS
from lib.bbox.fold import fold_bbox_normalization
from lib.core import atomic, checkpoint, experiment
from lib.core import config as base
from lib.core.engine import Progress, fit
from lib.core.matching import match_params
from lib.core.optimizer import WarmupMultiFactorSchedule
from lib.core.trainer import Trainer
from lib.utils.curves import write_curves
from lib.utils.logger import RunLogger


def model_prefix(config, cfg_path: str) -> Path:
    """Prefix of the checkpoints: `<output folder>/<TRAIN.model_prefix>`."""
    folder = experiment.output_folder(config, cfg_path, config.dataset.image_set)
    return folder / (config.TRAIN.model_prefix or "e2e")


def schedule(config, roidb_size: int, images_per_update: int) -> WarmupMultiFactorSchedule:
    """Learning rate by update; epochs already passed and epoch fractions are counted in updates of this run.

    TRAIN.lr_step counts epochs of the roidb with mirrored copies, as the original does.
    """
    train = config.TRAIN
    steps = [int(epoch * roidb_size / images_per_update) for epoch in base.parse_numbers(train.lr_step)]
    warmup_step = train.warmup_step if train.warmup else 0
    return WarmupMultiFactorSchedule(train.lr, steps, 0.1, warmup_step, train.warmup_lr)


def initial_params(trainer: Trainer, symbol: mx.sym.Symbol, config) -> None:
    """Pretrained backbone plus random new layers, or, with network.pretrained empty, everything random.

    New layers: normal(0, 0.01) weights, zero biases (original). From scratch all but the output layers are normal with
    variance 2 / fan-in (He et al. 2015), so that the gradient reaches them; BatchNorm starts as the identity.
    """
    network = config.network
    shapes = trainer.param_shapes()
    given = pretrained_params(network, shapes) if network.pretrained else {}
    he = mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2)
    for name in sorted(set(shapes) - set(given)):
        given[name] = array = mx.nd.zeros(shapes[name])
        if name.endswith(("_gamma", "_moving_var")):
            array[:] = 1
        elif name.endswith("_weight"):
            hidden = not network.pretrained and name.startswith(("rpn_conv_3x3", "conv_new_1"))
            rule = mx.init.Normal(0.01) if is_new(name) and not hidden else he
            rule(mx.init.InitDesc(name), array)
    trainer.set_params(given, given)


def is_new(name: str) -> bool:
    """Whether an array belongs to a layer that no pretrained backbone has."""
    return name.rsplit("_", 1)[0] in NEW_LAYERS


def pretrained_params(network, shapes: Dict[str, tuple]) -> Dict[str, mx.nd.NDArray]:
    """The backbone's arrays from the file `network.pretrained` names; its classifier and the like are ignored."""
    path = checkpoint.params_path(network.pretrained, network.pretrained_epoch)
    if not Path(path).is_file():
        raise checkpoint.CheckpointError(
            f"{path}: no such file. Put the ImageNet model there (see README, Pretrained models), name another with "
            "--set network.pretrained PREFIX, or train from scratch with --set network.pretrained ''"
        )
    args, aux = checkpoint.load_params(network.pretrained, network.pretrained_epoch)
    backbone = {name: shape for name, shape in shapes.items() if not is_new(name)}
    args, aux = match_params(backbone, args, aux, allow_unexpected=True, source=path)
    return {**args, **aux}


class Session:
    """A training run in progress: trainer, loader and the files it leaves behind."""

    def __init__(self, run: experiment.Run) -> None:
        self.config, self.args = run.config, run.args
        train = self.config.TRAIN
        experiment.seed_all(train.seed)
        self.imdb = build_imdb(self.config, self.config.dataset.image_set)
        self.roidb = training_roidb(self.imdb, self.config)
        self.prefix = model_prefix(self.config, run.args.cfg)
        self.logger = RunLogger(self.prefix.parent, Path(run.args.cfg).stem, self.config.default.tensorboard)
        self.symbol = FCIS(self.config).train_symbol()
        self.trainer = Trainer(
            self.symbol, run.contexts, largest_shapes(self.config, self.symbol, self.roidb),
            self.config.network.FIXED_PARAMS, train.momentum, train.wd, train.grad_accumulate,
            self.config.default.kvstore,
        )  # fmt: skip
        self.loader = TrainLoader(self.roidb, self.config, self.symbol, self.trainer.batches_per_step)
        self.images_per_update = self.trainer.batches_per_step * train.BATCH_IMAGES

    def restore(self) -> int:
        """Fill in the parameters; returns the first epoch to train: after the newest valid checkpoint with --resume,
        after TRAIN.begin_epoch with TRAIN.RESUME, else a fresh start."""
        train = self.config.TRAIN
        if not (self.args.resume or train.RESUME):
            initial_params(self.trainer, self.symbol, self.config)
            return train.begin_epoch
        state = checkpoint.load_state(str(self.prefix), None if self.args.resume else train.begin_epoch)
        check_classes(self.prefix, self.imdb.classes)
        shapes = self.trainer.param_shapes()
        self.trainer.set_params(
            *match_params(shapes, state.arg_params, state.aux_params, units=CLASS_UNITS, source=state.path)
        )
        self.trainer.set_momentum(state.momentum)
        self.trainer.num_update = state.progress["num_update"]
        self.logger.info(f"resumed from {state.path} after update {self.trainer.num_update}")
        return state.epoch

    def describe(self) -> None:
        """Class names and resolved config beside the checkpoints, for the demo and for people."""
        atomic.write_text(str(classes_path(self.prefix)), "\n".join(self.imdb.classes) + "\n")
        base.save(self.config, self.prefix.with_name(f"{self.prefix.name}-config.yaml"))

    def save(self, epoch: int) -> None:
        """Checkpoint after epoch `epoch` (file number epoch + 1), with the folded `*_test` arrays of the original."""
        prefix = str(self.prefix)
        args, aux = self.trainer.get_params()
        checkpoint.save_params(prefix, epoch + 1, self.symbol, {**args, **self.folded(args)}, aux)
        progress = {"num_update": self.trainer.num_update}
        checkpoint.save_state(prefix, epoch + 1, self.trainer.get_momentum(), progress, (args, aux))
        checkpoint.prune(prefix, self.config.default.checkpoint_keep)
        self.logger.info(f"saved {checkpoint.params_path(prefix, epoch + 1)}")
        write_curves(self.logger.jsonl_path, f"{prefix}-curves.png")

    def folded(self, args: Dict[str, mx.nd.NDArray]) -> Dict[str, mx.nd.NDArray]:
        """The box layer with the targets' normalisation folded in, as `fcis_bbox_*_test`."""
        train = self.config.TRAIN
        groups = args["fcis_bbox_bias"].size // (4 * GROUP * GROUP)
        weight, bias = fold_bbox_normalization(
            args["fcis_bbox_weight"].asnumpy(), args["fcis_bbox_bias"].asnumpy(),
            list(train.BBOX_MEANS) * groups, list(train.BBOX_STDS) * groups,
        )  # fmt: skip
        return {"fcis_bbox_weight_test": mx.nd.array(weight), "fcis_bbox_bias_test": mx.nd.array(bias)}

    def run(self) -> None:
        """Train to the last epoch."""
        config, train = self.config, self.config.TRAIN
        begin = self.restore()
        self.describe()
        size = self.trainer.batches_per_step
        updates = (train.end_epoch - begin) * (len(self.loader) // size)
        progress = Progress(
            self.logger.info, self.logger.record, config.default.frequent, self.images_per_update, updates
        )
        self.logger.info(
            f"{len(self.roidb)} images (mirrored included), {self.images_per_update} per update, "
            f"{len(self.loader) // size} updates per epoch, lr {train.lr:g} on summed gradients"
        )
        fit(
            self.trainer, self.loader, fcis_metrics(), OUTPUT_NAMES,
            schedule(config, len(self.roidb), self.images_per_update), range(begin, train.end_epoch), progress,
            self.save, self.logger.info,
        )  # fmt: skip


def train(run: experiment.Run) -> None:
    """Train as the run's config says; checkpoints, logs and curves are in the output folder."""
    started = time.time()
    session = Session(run)
    session.run()
    session.logger.info(f"training took {time.time() - started:.0f} s; results in {session.prefix.parent}")


if __name__ == "__main__":
    experiment.main(fcis_config.load, __doc__, train)
