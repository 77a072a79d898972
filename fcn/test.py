"""Test trained FCNs at the images' original size; every network of `symbol`, or one."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, Mapping, Tuple

import numpy as np
from easydict import EasyDict

from fullconv.fcn import config as fcn_config
from fullconv.fcn.config import METHOD, network_options
from fullconv.fcn.convert import load_exactly
from fullconv.fcn.data import test_set, training_set
from fullconv.fcn.scoring import ScoreHistory, TestImages
from fullconv.fcn.symbols import build_for
from fullconv.fcn.targets import feeds
from fullconv.fcn.train_end2end import model_prefix, results_folder, snapshots
from fullconv.lib.core import checkpoint
from fullconv.lib.dataset.segmentation.label_files import read_label_png
from fullconv.lib.evaluation.segmentation import Scores, SegmentationEvaluator, format_table
from fullconv.lib.experiment.command_line import TEST, Run, main
from fullconv.lib.experiment.testing import TestRun, epoch_to_test
from fullconv.lib.tools.score_segmentation import write_report
from fullconv.lib.visualize.page import write_page
from fullconv.lib.visualize.segmentation_gallery import comparisons


class FCNTest(TestRun):
    """One network on one image set, and what is made of it. config: of this stage (`fcn.config.stages`)."""

    def __init__(self, run: Run, config: EasyDict) -> None:
        self.config = config
        super().__init__(run, results_folder(run, config.symbol), config.symbol)
        self.path, self.iteration = self.weights(run)
        net, params = load_exactly(config.symbol, self.path)
        images = TestImages(config.dataset, net)
        self.dataset, self.source = images.dataset, images.source
        self.logger.info(f"{config.symbol} from {self.path} on {self.dataset.name}, {len(self.dataset)} images")
        self.judges = images.judges(net, params, self.contexts, config.TEST.tile, self.choice)

    def weights(self, run: Run) -> Tuple[str, int]:
        """File to test and the updates it was trained for (0 for `TEST.weights`, which does not say).

        Raises CheckpointError: no checkpoint.
        """
        test, train = self.config.TEST, self.config.TRAIN
        if test.weights:
            return test.weights, 0
        prefix = str(model_prefix(run, self.config.symbol))
        epoch = epoch_to_test(prefix, test.test_epoch, "fcn_end2end_train_test.py")
        self.logger.info(f"testing {checkpoint.origin(prefix, epoch)}")
        return checkpoint.params_path(prefix, epoch), epoch * (int(train.max_iter) // snapshots(train))

    def run(self) -> Dict[str, Scores]:
        """Segment, score, report, draw; returns the scores."""
        results = self.folder / "predictions"
        evaluator = SegmentationEvaluator(self.dataset, str(results))
        name = self.dataset.image_ids.__getitem__
        for index, (labels, losses) in self.results(self.judges, self.source.sizes, self.source.sample, name):
            evaluator.add(index, labels, losses)
        write_report(evaluator, str(self.folder))
        self.report(evaluator)
        self.draw(results)
        self.logger.close()
        return evaluator.result()

    def report(self, evaluator: SegmentationEvaluator) -> None:
        """Tables for people, and the lines that scripts around the original parse."""
        for task, result in evaluator.result().items():
            classes = evaluator.dataset.tasks[task]
            self.logger.info(f"{self.config.symbol}, {task}, in percent\n{format_table(result, classes)}")
        for line in ScoreHistory(self.folder).add(evaluator, self.iteration, self.path):
            self.logger.info(line)
        self.logger.info(f"scores, tables and confusion pictures: {self.folder}")

    def draw(self, results: Path) -> None:
        """A page per task of pictures with the prediction beside the truth."""
        count = self.picture_count(len(self.dataset))
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


def check_test_set(run: Run) -> None:
    """Build the test set and compare its classes with the training set's: a mistake shows before training.

    Raises DatasetError or ValueError as `fcn.data.test_set` and `fcn.targets.feeds`.
    """
    tested_on, trained_on = test_set(run.config.dataset), training_set(run.config.dataset)
    for config in fcn_config.tested(run.config):
        feeds(tested_on, build_for(config.symbol, trained_on.tasks, **network_options(config)))


def test(run: Run) -> Dict[str, Dict[str, Scores]]:
    """Test the networks that `symbol` and `TEST.network` name; returns scores per network and task."""
    wanted = run.config.TEST.network
    configs = [config for config in fcn_config.tested(run.config) if wanted in ("", config.symbol)]
    results = {config.symbol: FCNTest(run, config).run() for config in configs}
    print(summary(results))
    return results


if __name__ == "__main__":
    main(METHOD, __doc__, test, parts=[TEST])
