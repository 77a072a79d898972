"""Test a trained FCIS on a data set and evaluate it (original section 7)."""

from __future__ import annotations

import json
import math
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from fullconv.fcis import assembly
from fullconv.fcis.config import METHOD
from fullconv.fcis.data import test_set
from fullconv.fcis.preprocess import InputSpec, check_sizes, load_input
from fullconv.fcis.symbols.spec import NetworkSpec, TestSpec
from fullconv.fcis.tester import Detector, Proposer, Sample
from fullconv.fcis.train_end2end import model_prefix
from fullconv.lib.core import checkpoint
from fullconv.lib.evaluation.average_recall import Recall, proposal_recall
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.command_line import TEST, Run, main
from fullconv.lib.experiment.detection_testing import DetectionTestRun
from fullconv.lib.experiment.testing import epoch_to_test
from fullconv.lib.structures.entry import Entry
from fullconv.lib.utils import atomic


class FCISTest(DetectionTestRun):
    """FCIS on the test set of a config."""

    def __init__(self, run: Run) -> None:
        self.config, self.contexts = run.config, run.contexts
        prefix = model_prefix(run)
        epoch = epoch_to_test(str(prefix), run.config.TEST.test_epoch, "fcis_end2end_train_test.py")
        super().__init__(run, test_set(run.config.dataset), run.config.dataset.test_image_set, prefix, epoch)
        self.images = assembly.input_spec(run.config)
        self.binary_thresh = run.config.BINARY_THRESH

    def detectors(self) -> List[Detector]:
        """One per device, with the raw box weights: BoxParser applies the targets' normalisation itself."""
        check_sizes(self.entries, self.images.scales)
        params, results = checkpoint.load_file(self.params_path), assembly.result_spec(self.config)
        specs = *self.specs(), results, params
        return [Detector(*specs, ctx, self.params_path) for ctx in self.contexts]

    def specs(self) -> Tuple[NetworkSpec, TestSpec, InputSpec]:
        """The network, its test graph and its input."""
        return assembly.network_spec(self.config, self.data.num_classes), assembly.test_spec(self.config), self.images

    def run(self) -> Dict[str, float]:
        """Detect, evaluate, draw; with TEST.PROPOSAL_RECALL look at the proposals too. Returns the scores by name."""
        scores = super().run()
        if self.config.TEST.PROPOSAL_RECALL:
            self.proposal_recall(self.config.TEST.PROPOSAL_RECALL)
        return scores

    def proposal_recall(self, counts: Sequence[int]) -> Recall:
        """Recall of the best `counts` proposals of each image, logged and written to proposal_recall.json."""
        params, entries = checkpoint.load_file(self.params_path), self.entries
        specs = *self.specs(), params
        devices = [Proposer(*specs, ctx, self.params_path) for ctx in self.contexts]
        sizes = [entry.size for entry in entries]
        found: Dict[int, np.ndarray] = dict(
            self.results(devices, sizes, lambda i: self.load(entries[i]), lambda i: entries[i].image)
        )
        boxes = [entry.boxes for entry in entries]
        recall = proposal_recall(boxes, [found[index] for index in range(len(entries))], counts)
        path = self.folder / "proposal_recall.json"
        numbers = {name: value if math.isfinite(value) else None for name, value in recall.as_dict().items()}
        atomic.write_text(str(path), json.dumps(numbers, indent=1) + "\n")
        self.logger.info(f"recall of the proposals, in percent (also in {path})\n{recall.table()}")
        return recall

    def load(self, entry: Entry) -> Sample:
        """Input at the first scale."""
        return (*load_input(entry, self.images), entry.size)

    def determining(self) -> Mapping[str, Any]:
        """All but what is about training or the machine."""
        used = ("TRAIN.BBOX_MEANS", "TRAIN.BBOX_STDS")
        leaves = base.flatten(self.config)
        other = ("TRAIN.", "default.", "TEST.PROPOSAL_RECALL")
        return {key: value for key, value in leaves if key in used or not key.startswith(other)}


def check_test_set(run: Run) -> None:
    """Read the test set's annotations and image headers, so that a mistake there shows before training, not after."""
    test_set(run.config.dataset).entries()


def test(run: Run) -> Dict[str, float]:
    """Test as the run's config says; returns the scores."""
    return FCISTest(run).run()


if __name__ == "__main__":
    main(METHOD, __doc__, test, parts=[TEST])
