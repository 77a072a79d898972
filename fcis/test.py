"""Test a trained FCIS on a data set and evaluate it (original section 7)."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from fullconv.fcis import assembly
from fullconv.fcis.config import METHOD
from fullconv.fcis.data import test_set
from fullconv.fcis.preprocess import check_sizes, load_input
from fullconv.fcis.tester import Detector, Sample
from fullconv.fcis.train_end2end import model_prefix
from fullconv.lib.core import checkpoint
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.command_line import Run, main
from fullconv.lib.experiment.detection_testing import DetectionTestRun
from fullconv.lib.experiment.testing import epoch_to_test
from fullconv.lib.structures.entry import Entry


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
        params = checkpoint.load_file(self.params_path)
        network = assembly.network_spec(self.config, self.data.num_classes)
        specs = network, assembly.test_spec(self.config), self.images, assembly.result_spec(self.config)
        return [Detector(*specs, params, ctx, self.params_path) for ctx in self.contexts]

    def load(self, entry: Entry) -> Sample:
        """Input at the first scale."""
        return (*load_input(entry, self.images), entry.size)

    def determining(self) -> Mapping[str, Any]:
        """All but what is about training or the machine."""
        used = ("TRAIN.BBOX_MEANS", "TRAIN.BBOX_STDS")
        leaves = base.flatten(self.config)
        return {key: value for key, value in leaves if key in used or not key.startswith(("TRAIN.", "default."))}


def check_test_set(run: Run) -> None:
    """Read the test set's annotations and image headers, so that a mistake there shows before training, not after."""
    test_set(run.config.dataset).entries()


def test(run: Run) -> Dict[str, float]:
    """Test as the run's config says; returns the scores."""
    return FCISTest(run).run()


if __name__ == "__main__":
    main(METHOD, __doc__, test)
