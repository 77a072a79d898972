"""Test the classifier on proposals that are on disk: instances with their classes, and mAP^r."""

from __future__ import annotations

import hashlib
from typing import Any, Dict, List, Mapping, Tuple

from fullconv.instancefcn.classifier import assembly
from fullconv.instancefcn.classifier.tester import Detector, Sample, views
from fullconv.instancefcn.classifier.train import CLASS_UNITS, model_prefix, proposals_of
from fullconv.instancefcn.config import CLASSIFIER_METHOD
from fullconv.instancefcn.data import test_set
from fullconv.instancefcn.preprocess import check_sizes, largest_input
from fullconv.lib.core import checkpoint
from fullconv.lib.dataset.entry_image import read_entry_image
from fullconv.lib.evaluation.proposal_files import Segments
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.command_line import TEST, Run, main
from fullconv.lib.experiment.detection_testing import DetectionTestRun
from fullconv.lib.experiment.testing import epoch_to_test
from fullconv.lib.structures.entry import Entry


class ClassifierTest(DetectionTestRun):
    """The classifier on the test set of a config. Its results lie in `classifier/` beside those of the proposals."""

    def __init__(self, run: Run) -> None:
        self.config, given, dataset = run.config, run.config.CLASSIFIER, run.config.dataset
        prefix = model_prefix(run)
        epoch = epoch_to_test(str(prefix), given.test_epoch, "instancefcn_classifier_train_test.py")
        super().__init__(run, test_set(dataset), dataset.test_image_set, prefix, epoch)
        self.found = proposals_of(run, self.data, given.test_proposals, dataset.test_image_set)
        self.by_entry: Dict[int, Segments] = {id(entry): found for entry, found in zip(self.entries, self.found)}
        self.folder = self.folder / "classifier"
        self.folder.mkdir(exist_ok=True)
        self.images, self.results_spec = assembly.input_spec(run.config), assembly.result_spec(run.config)
        self.binary_thresh = given.BINARY_THRESH

    def detectors(self) -> List[Detector]:
        """One per device."""
        check_sizes(self.entries, self.images)
        largest, params = largest_input(self.entries, self.images), checkpoint.load_file(self.params_path)
        network = assembly.classifier_spec(self.config, self.data.num_classes)
        return [
            Detector(network, self.results_spec, params, ctx, largest, CLASS_UNITS, self.params_path)
            for ctx in self.contexts
        ]

    def load(self, entry: Entry) -> Sample:
        """The image with its proposals."""
        return views(read_entry_image(entry), self.by_entry[id(entry)], self.images, self.results_spec)

    def key(self) -> Dict[str, Any]:
        """As every test's, and the proposals."""
        scores = [found.scores.tolist() for found in self.found]
        return {**super().key(), "proposals": _digest(scores)}

    def determining(self) -> Mapping[str, Any]:
        """The network and the classifier's own keys."""
        used: Tuple[str, ...] = ("CLASSIFIER.", "network.", "symbol")
        return {key: value for key, value in base.flatten(self.config) if key.startswith(used)}


def _digest(scores: List[List[float]]) -> str:
    """A sum over all proposals' scores, which other proposals do not share."""
    return hashlib.sha256(repr(scores).encode()).hexdigest()


def test(run: Run) -> Dict[str, float]:
    """Test as the run's config says; returns the scores."""
    return ClassifierTest(run).run()


if __name__ == "__main__":
    main(CLASSIFIER_METHOD, __doc__, test, parts=[TEST])
