"""Train the classifier of proposals that are on disk."""

from __future__ import annotations

from pathlib import Path
from typing import List, Sequence

from fullconv.instancefcn.assembly import accumulated, pieces, rules, schedule
from fullconv.instancefcn.classifier import assembly
from fullconv.instancefcn.classifier.loader import ClassifierSource
from fullconv.instancefcn.classifier.metric import OUTPUT_NAMES, classifier_metrics
from fullconv.instancefcn.classifier.symbols import train_symbol
from fullconv.instancefcn.config import CLASSIFIER_METHOD
from fullconv.instancefcn.data import training_set
from fullconv.instancefcn.weights import start_weights
from fullconv.lib.core.endless_order import endless_order
from fullconv.lib.core.loader import EpochLoader
from fullconv.lib.core.sampler import EndlessSampler, Share, update_size
from fullconv.lib.core.trainer import Trainer
from fullconv.lib.dataset.detection.detection_set import DetectionSet
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.evaluation.proposal_files import Segments, read_proposals
from fullconv.lib.experiment.command_line import TRAIN, Run, main
from fullconv.lib.experiment.session import Session

CLASS_UNITS = {"cls_score_weight": ("classes", 1), "seg_cls_score_weight": ("classes", 1)}
"""The arrays whose first axis tells a model's class count (`match_params`)."""


def model_prefix(run: Run) -> Path:
    """Prefix of the checkpoints: `<output folder>/classifier`."""
    return run.settings.folder(run.args.cfg, run.config.dataset.image_set) / "classifier"


def proposals_of(run: Run, data: DetectionSet, path: str, image_set: str) -> List[Segments]:
    """The best CLASSIFIER.PROPOSALS of every image of a set, from `path`, or from where testing this config on
    `image_set` leaves them.

    Raises DatasetError: no such file; EvaluationError: it belongs to other images.
    """
    file = Path(path) if path else run.settings.folder(run.args.cfg, image_set) / "proposals.json"
    if not file.is_file():
        raise DatasetError(
            f"{file}: no proposals of {image_set}. Make them: instancefcn_end2end_test.py with the same --cfg and "
            f"--set dataset.test_image_set {image_set}, or name a file with CLASSIFIER.proposals or test_proposals"
        )
    sizes = {image_id: entry.size for image_id, entry in zip(data.image_ids, data.entries())}
    found = read_proposals(str(file), sizes)
    return [found[image_id].first(run.config.CLASSIFIER.PROPOSALS) for image_id in data.image_ids]


class Training(Session):
    """The classifier being trained. What the loop calls an epoch is CLASSIFIER.snapshot updates."""

    units = CLASS_UNITS

    def __init__(self, run: Run) -> None:
        config, given, train = run.config, run.config.CLASSIFIER, run.config.TRAIN
        data = training_set(config.dataset)
        self.entries, proposals = data.entries(), proposals_of(run, data, given.proposals, config.dataset.image_set)
        pairs = [pair for pair in zip(self.entries, proposals) if len(pair[0].boxes) or len(pair[1].codes)]
        self.entries = [entry for entry, _ in pairs]
        super().__init__(
            run.settings, config, f"{Path(run.args.cfg).stem}_classifier", model_prefix(run), {"": data.classes}
        )
        self.symbol = train_symbol(assembly.classifier_spec(config, data.num_classes))
        parts = assembly.input_spec(config), assembly.sampling_spec(config), data.num_classes, train.seed
        source, images = ClassifierSource(self.entries, _second(pairs), *parts), given.IMS_PER_DEVICE
        self.trainer = Trainer(
            self.symbol,
            run.contexts,
            source.largest_shapes(images),
            momentum=train.momentum,
            wd=train.wd,
            accumulate=accumulated(given, len(run.contexts)),
            kvstore=run.settings.kvstore,
            optimizer=train.optimizer,
            rules=rules(config),
            average=True,
        )
        share = Share(self.trainer.batches_per_step, *self.trainer.worker)
        self.images_per_update = update_size(images, share)
        order = endless_order(self.entries, images, run.settings.seed)
        sampler = EndlessSampler(order, min(given.snapshot, given.max_iter) * share.batches, images, share)
        self.loader = EpochLoader(sampler, source, run.settings.num_workers)

    def start_weights(self) -> None:
        """Pretrained or random arrays, see `instancefcn.weights`."""
        shapes, start = self.trainer.param_shapes(), assembly.start(self.config)
        arrays = start_weights(shapes, start, self.settings.generator(), self.logger.info)
        self.trainer.set_params(arrays, arrays)

    def run(self, resume: bool) -> None:
        """Train to the last update."""
        begin, given = self.begin(resume), self.config.CLASSIFIER
        self.logger.info(f"{len(self.entries)} images, {self.images_per_update} per update, {given.max_iter} updates")
        epochs = range(begin, pieces(given))
        self.fit(classifier_metrics(), OUTPUT_NAMES, schedule(given), epochs, self.images_per_update)


def _second(pairs: Sequence[tuple]) -> List[Segments]:
    return [proposals for _, proposals in pairs]


def train(run: Run) -> None:
    """Train as the run's config says; checkpoints, logs and curves are in the output folder."""
    Training(run).train(run.args.resume)


if __name__ == "__main__":
    main(CLASSIFIER_METHOD, __doc__, train, parts=[TRAIN])
