"""Test trained FCNs at the images' original size; every network of `symbol`, or one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Mapping, Tuple

import numpy as np

from fullconv.fcn import config as fcn_config
from fullconv.fcn.convert import load_exactly
from fullconv.fcn.data import network_for, test_set, training_set
from fullconv.fcn.loader import SegmentationLoader, feeds
from fullconv.fcn.tester import Segmenter, best_class
from fullconv.fcn.train_end2end import model_prefix, snapshots
from fullconv.lib.core import checkpoint
from fullconv.lib.core.loader import prefetch
from fullconv.lib.dataset.segmentation.label_files import read_label_png
from fullconv.lib.evaluation.segmentation import Scores, SegmentationEvaluator, format_table, original_log, softmax_loss
from fullconv.lib.experiment import command_line as experiment
from fullconv.lib.experiment.testing import StepClock, epoch_to_test, in_turn
from fullconv.lib.tools.score_segmentation import write_report
from fullconv.lib.utils.logger import RunLogger
from fullconv.lib.visualize.page import write_page
from fullconv.lib.visualize.segmentation_gallery import comparisons

GALLERY_IMAGES = 32
"""Pictures written without --vis; with it, every tested image gets one."""


class TestRun:
    """One network on one image set, and what is made of it. config: of this stage (`fcn.config.stages`)."""

    def __init__(self, run: experiment.Run, config) -> None:
        self.args, self.config = run.args, config
        self.dataset = test_set(config)
        self.folder = experiment.output_folder(config, run.args.cfg, config.dataset.test_image_set) / config.symbol
        self.logger = RunLogger(self.folder, config.symbol, False)
        path, self.iteration = self.weights()
        self.net, params = load_exactly(config.symbol, path)
        inputs, labels = feeds(self.dataset, self.net)
        self.loader = SegmentationLoader(self.dataset, inputs, labels, order="sequential")
        self.net.check_sizes(self.dataset.image_ids, self.loader.sizes)
        self.logger.info(f"{config.symbol} from {path} on {self.dataset.name}, {len(self.dataset)} images")
        largest = self.loader.largest_shapes()[next(iter(inputs))][2:]
        tile = config.TEST.tile
        self.segmenters = [Segmenter(self.net, params, ctx, largest, tile) for ctx in run.contexts]

    def weights(self) -> Tuple[str, int]:
        """File to test and the updates it was trained for (0 for `TEST.weights`, which does not say).

        Raises CheckpointError: no checkpoint.
        """
        test = self.config.TEST
        if test.weights:
            return test.weights, 0
        prefix = str(model_prefix(self.config, self.args.cfg))
        epoch = epoch_to_test(prefix, test.test_epoch, "fcn_end2end_train_test.py")
        share = int(self.config.TRAIN.max_iter) // snapshots(self.config)
        return checkpoint.params_path(prefix, epoch), epoch * share

    def order(self) -> List[int]:
        """Order of testing: by size, because every new size costs a binding; --shuffle permutes it, slower."""
        count = len(self.dataset)
        return (
            np.random.permutation(count).tolist() if self.args.shuffle else sorted(range(count), key=self.dataset.size)
        )

    def run(self) -> Dict[str, Scores]:
        """Segment, score, report, draw; returns the scores per task."""
        results = self.folder / "predictions"
        evaluator = SegmentationEvaluator(self.dataset, str(results))
        clock = StepClock(len(self.dataset), self.config.default.frequent, self.logger.info)
        for index, predictions, losses in self.segmented(clock):
            evaluator.add(index, predictions, losses)
            clock.lap("post")
            clock.count()
        write_report(evaluator, str(self.folder))
        self.report(evaluator)
        self.draw(results)
        self.logger.close()
        return evaluator.result()

    def segmented(self, clock: StepClock) -> Iterator[Tuple[int, Dict[str, np.ndarray], Dict[str, float]]]:
        """(index, labels per task, loss per task) of every image; only one image's scores are held at a time."""

        def load(index: int):
            return index, self.loader.sample(index)

        def start(segmenter: Segmenter, item):
            clock.lap("data")
            index, sample = item
            tensors = {name: sample[name][None] for name in self.loader.inputs}
            return index, sample, segmenter.start(tensors)

        def finish(segmenter: Segmenter, started):
            index, sample, queued = started
            truths = {head.label: sample[head.label][0] for head in self.net.heads}
            return (index, *judge(segmenter, queued, truths, lambda: clock.lap("net")))

        name = self.dataset.image_ids.__getitem__
        items = prefetch(self.order(), load, self.config.default.num_workers, name=name)
        return in_turn(self.segmenters, items, start, finish)

    def report(self, evaluator: SegmentationEvaluator) -> None:
        """Tables for people, and the lines that scripts around the original parse."""
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        for task, result in evaluator.result().items():
            classes = evaluator.dataset.tasks[task]
            self.logger.info(f"{self.config.symbol}, {task}, in percent\n{format_table(result, classes)}")
            for line in original_log(result, evaluator.mean_loss(task), self.iteration, now):
                self.logger.info(line)
        self.logger.info(f"scores, tables and confusion pictures: {self.folder}")

    def draw(self, results: Path) -> None:
        """A page per task of pictures with the prediction beside the truth."""
        count = len(self.dataset) if self.args.vis else min(GALLERY_IMAGES, len(self.dataset))
        for task in self.dataset.tasks:
            several = len(self.dataset.tasks) > 1
            folder, page = (results / task, Path("pictures") / task) if several else (results, Path("pictures"))
            found = comparisons(self.dataset, task, count, self.predicted(folder))
            note = "pixels of void and background are not coloured"
            path = write_page(self.folder / page, found, f"{self.config.symbol}, {task}", note)
            self.logger.info(f"pictures of {count} images: {path}")

    def predicted(self, folder: Path) -> Callable[[int], np.ndarray]:
        """Reader of the predictions written to `folder`."""
        ids, size = self.dataset.image_ids, self.dataset.size
        return lambda index: read_label_png(str(folder / f"{ids[index]}.png"), size(index))


def judge(
    segmenter: Segmenter, queued: tuple, truths: Mapping[str, np.ndarray], on_scores: Callable[[], None]
) -> Tuple[Dict[str, np.ndarray], Dict[str, float]]:
    """Labels (h, w) and loss (sum over labelled pixels, original's behaviour) per label map of one image."""
    labels = {name: np.zeros(truth.shape, np.uint8) for name, truth in truths.items()}
    losses = dict.fromkeys(truths, 0.0)
    for tile in segmenter.finish(queued):
        on_scores()
        for name, score in tile.scores.items():
            labels[name][tile.rows, tile.columns] = best_class(score)
            losses[name] += softmax_loss(score, truths[name][tile.rows, tile.columns])
    return labels, losses


def summary(results: Mapping[str, Mapping[str, Scores]]) -> str:
    """One line per network and task, in percent; "in truth" is mean IU without the classes the truth does not have."""
    columns = ("pixel acc.", "mean acc.", "mean IU", "in truth", "f.w. IU")
    lines = [f"{'network':<24}{'task':<8}" + "".join(f"{column:>12}" for column in columns)]
    for name, tasks in results.items():
        for task, found in tasks.items():
            values = (
                found.overall_accuracy,
                found.mean_accuracy,
                found.mean_iu,
                found.mean_iu_present,
                found.fwavacc,
            )
            lines.append(f"{name:<24}{task:<8}" + "".join(f"{100 * value:>12.2f}" for value in values))
    return "\n".join(lines)


def check_test_set(run: experiment.Run) -> None:
    """Build the test set and compare its classes with the training set's: a mistake shows before training.

    Raises DatasetError or ValueError as `fcn.data.test_set` and `fcn.loader.feeds`.
    """
    tested_on, trained_on = test_set(run.config), training_set(run.config)
    for config in fcn_config.tested(run.config):
        feeds(tested_on, network_for(config, trained_on))


def test(run: experiment.Run) -> Dict[str, Dict[str, Scores]]:
    """Test the networks that `symbol` and `TEST.network` name; returns scores per network and task."""
    wanted = run.config.TEST.network
    configs = [config for config in fcn_config.tested(run.config) if wanted in ("", config.symbol)]
    results = {config.symbol: TestRun(run, config).run() for config in configs}
    print(summary(results))
    return results


if __name__ == "__main__":
    experiment.main(fcn_config.load, __doc__, test)
