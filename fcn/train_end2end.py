"""Train FCN as published: 32s, then 16s and 8s from it, or any single network."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List

from easydict import EasyDict

from fullconv.fcn import config as fcn_config
from fullconv.fcn.config import METHOD, POLY, network_options, words
from fullconv.fcn.crops import CropSource, Regions
from fullconv.fcn.data import class_files, training_set
from fullconv.fcn.loader import ImageSource
from fullconv.fcn.metric import fcn_metrics, output_names
from fullconv.fcn.sampling import BALANCED, order_of
from fullconv.fcn.scoring import ScoreHistory, SnapshotScorer
from fullconv.fcn.symbols import CLASSIFIER, build_for
from fullconv.fcn.targets import feeds
from fullconv.fcn.weights import start_weights
from fullconv.lib.core import checkpoint, run_record
from fullconv.lib.core.checked_file import digest_of
from fullconv.lib.core.distributed import join
from fullconv.lib.core.loader import EpochLoader
from fullconv.lib.core.sampler import EndlessSampler, Share
from fullconv.lib.core.schedule import MultiFactorSchedule, PolySchedule, Schedule, Warmup
from fullconv.lib.core.trainer import Trainer
from fullconv.lib.dataset.segmentation.base import SegmentationSet
from fullconv.lib.experiment import run_folder
from fullconv.lib.experiment.command_line import TRAIN, Run, main
from fullconv.lib.experiment.config import parse_numbers
from fullconv.lib.experiment.session import Session
from fullconv.lib.experiment.settings import Settings


def model_prefix(run: Run, symbol: str) -> Path:
    """Prefix of a stage's checkpoints: `<output folder>/<network>`."""
    return run.settings.folder(run.args.cfg, run.config.dataset.image_set) / symbol


def results_folder(run: Run, symbol: str) -> Path:
    """Where the test results of a stage lie: `<output folder of the test set>/<network>`."""
    return run.settings.folder(run.args.cfg, run.config.dataset.test_image_set) / symbol


def schedule(train: EasyDict) -> Schedule:
    """Learning rate by update: fixed (original), unless TRAIN.lr_policy, lr_step or warmup_step say otherwise."""
    rate, last = float(train.lr), int(train.max_iter)
    after: Schedule = PolySchedule(rate, last, train.power)
    if train.lr_policy != POLY:
        after = MultiFactorSchedule(rate, [int(share * last) for share in parse_numbers(train.lr_step)])
    return Warmup(after, train.warmup_step, train.warmup_lr)


def snapshots(train: EasyDict) -> int:
    """Checkpoints that a stage writes."""
    return int(train.max_iter) // int(train.snapshot)


class Stage(Session):
    """The training of one network. config: of this stage (`fcn.config.stages`). regions: of the data set."""

    def __init__(self, run: Run, config: EasyDict, dataset: SegmentationSet, regions: Regions) -> None:
        self.net = build_for(config.symbol, dataset.tasks, **network_options(config))
        classes = {head.label: dataset.tasks[head.label] for head in self.net.heads}
        prefix = model_prefix(run, config.symbol)
        super().__init__(run.settings, config, config.symbol, prefix, class_files(classes))
        self.dataset, train = dataset, config.TRAIN
        source = self.source(regions)
        self.symbol = self.net.train_symbol(train.normalization or None)
        # Gradients are averaged over iter_size and over devices, as Caffe does; the loss is not.
        self.trainer = Trainer(
            self.symbol,
            run.contexts,
            source.largest_shapes(),
            momentum=train.momentum,
            wd=train.wd,
            accumulate=train.iter_size,
            kvstore=run.settings.kvstore,
            optimizer=train.optimizer,
            fixed_prefixes=config.network.FIXED_PARAMS if config.network.pretrained else (),
            average=True,
        )
        batches, worker = self.trainer.batches_per_step, self.trainer.worker
        sampler = EndlessSampler(
            self.order(regions), int(train.snapshot) * batches, source.batch, Share(batches, *worker)
        )
        self.loader = EpochLoader(sampler, source, run.settings.num_workers)
        self.images_per_update = self.trainer.batches_per_update * source.batch
        self.score = None
        self.results = results_folder(run, config.symbol)
        if train.score_snapshots and config.symbol != CLASSIFIER:
            log = self.logger.info
            self.score = SnapshotScorer(config, self.net, self.results, run.settings, run.contexts, log)

    def source(self, regions: Regions) -> ImageSource | CropSource:
        """What batches are made of: cut-out regions for a classifier, else whole images."""
        train = self.config.TRAIN
        inputs, labels = feeds(self.dataset, self.net)
        if self.config.symbol == CLASSIFIER:
            found = regions.of(next(iter(labels.values())))
            crops = train.seed, train.crops, train.crop_size
            return CropSource(self.dataset, found, inputs, labels, *crops)
        source = ImageSource(self.dataset, inputs, labels, train.BATCH_IMAGES, train.FLIP, train.seed)
        self.net.check_sizes(self.dataset.image_ids, source.sizes)
        return source

    def order(self, regions: Regions) -> Callable[[int, int], List[int]]:
        """The endless order of the images; with BALANCED by the regions of the first label map."""
        train = self.config.TRAIN
        found = regions.of(self.net.heads[0].label) if train.order == BALANCED else ()
        images = [[region.image for region in of_class] for of_class in found]
        return order_of(train.order, len(self.dataset), train.seed, images)

    def write(self, epoch: int) -> None:
        """A snapshot, and with TRAIN.score_snapshots its scores on the test set."""
        super().write(epoch)
        if self.score:
            self.score(checkpoint.params_path(str(self.prefix), epoch + 1), self.trainer.num_update)

    def determining(self) -> Dict[str, Any]:
        """See `determining` below."""
        return determining(self.config, self.settings)

    def start_weights(self) -> None:
        """See `fcn.weights`."""
        network = self.config.network
        start = start_weights(
            self.net, words(network.pretrained), network.skip, self.config.TRAIN.seed, self.logger.info
        )
        self.trainer.set_params(start, start)

    def run(self, resume: bool) -> None:
        """Train to the last snapshot."""
        begin = self.restore() if resume else 0
        if not resume:
            self.start()
            if self.world.first:
                ScoreHistory(self.results).set_aside()
        train, data = self.config.TRAIN, self.dataset
        self.logger.info(
            f"{self.config.symbol}: {self.trainer.parameter_count()} parameters; {data.name}, {len(data)} images, "
            f"{self.images_per_update} per update; {train.max_iter} updates, lr {train.lr}, loss normalised by "
            f"{train.normalization or self.net.network.normalization}"
        )
        heads, epochs = self.net.heads, range(begin, snapshots(train))
        self.fit(fcn_metrics(heads), output_names(heads), schedule(train), epochs, self.images_per_update)


def train(run: Run) -> None:
    """Train the networks of `symbol` in order, each from the one before; checkpoints and logs are in the output folder.

    With --resume, finished stages are passed over and the unfinished one goes on from its newest checkpoint.
    """
    dataset = training_set(run.config.dataset)
    regions, previous, configs = Regions(dataset), "", fcn_config.stages(run.config)
    prefixes = [model_prefix(run, config.symbol) for config in configs]
    world = join(run.settings.kvstore)
    with run_folder.claimed(prefixes if world.first else []):
        for number, config in enumerate(configs):
            config.network.pretrained = previous or config.network.pretrained
            previous = checkpoint.params_path(str(prefixes[number]), snapshots(config.TRAIN))
            resume, prefix = run.args.resume, prefixes[number]
            if resume and world.of_first(partial(_is_finished, run, config, prefix)):
                if world.first:
                    print(f"{config.symbol} is finished: {previous}")
                continue
            # A later stage may not have saved anything yet; the first one must have, or there is nothing to resume.
            if number:
                resume = resume and bool(world.of_first(partial(checkpoint.started, str(prefix))))
            stage = Stage(run, config, dataset, regions)
            # What follows from a stage that is begun anew would follow from the earlier one's weights.
            stage.later = prefixes[number + 1 :]
            _train_stage(stage, resume)


def _is_finished(run: Run, config: EasyDict, prefix: Path) -> bool:
    """Whether a stage's last checkpoint is there. Raises CheckpointError: it was made with other settings."""
    if checkpoint.latest(str(prefix), resumable=True) != snapshots(config.TRAIN):
        return False
    record = run_record.read(str(prefix))
    if record is not None:
        run_folder.refuse_changes(record, determining(config, run.settings), str(prefix), run.settings, print)
    return True


def determining(config: EasyDict, settings: Settings) -> Dict[str, Any]:
    """The settings that a stage's numbers follow from; of the weights it starts from the content, not the path."""
    found = run_folder.determining(config, settings)
    if config.TRAIN.lr_policy == POLY:  # every rate follows from the length
        found["TRAIN.max_iter"] = str(config.TRAIN.max_iter)
    sources = words(config.network.pretrained)
    found["network.pretrained"] = [digest_of(path) if Path(path).is_file() else path for path in sources]
    return found


def _train_stage(stage: Stage, resume: bool) -> None:
    stage.train(resume)
    stage.logger.close()


if __name__ == "__main__":
    main(METHOD, __doc__, train, parts=[TRAIN])
