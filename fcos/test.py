"""Test a trained FCOS on a data set and evaluate it."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from fullconv.fcos import assembly
from fullconv.fcos.config import METHOD
from fullconv.fcos.data import test_set
from fullconv.fcos.model import load_detectors
from fullconv.fcos.preprocess import check_sizes
from fullconv.fcos.tester import Detector, Sample, views
from fullconv.fcos.train_end2end import model_prefix
from fullconv.fcos.weights import weight_path
from fullconv.lib.dataset.entry_image import read_entry_image
from fullconv.lib.experiment import config as base
from fullconv.lib.experiment.command_line import TEST, Run, main
from fullconv.lib.experiment.detection_testing import DetectionTestRun
from fullconv.lib.experiment.testing import epoch_to_test
from fullconv.lib.structures.entry import Entry
from fullconv.lib.utils import atomic


class FCOSTest(DetectionTestRun):
    """FCOS on the test set of a config: this run's checkpoint, or with --test_weight the file MODEL.WEIGHT."""

    masks = False
    show_thresh = 0.5

    def __init__(self, run: Run) -> None:
        self.config, self.given = run.config, run.args.test_weight
        prefix, epoch = model_prefix(run), 0
        if not self.given:
            epoch = epoch_to_test(str(prefix), run.config.TEST.test_epoch, "fcos_end2end_train_test.py")
        super().__init__(run, test_set(run.config), "+".join(run.config.DATASETS.TEST), prefix, epoch)
        if self.given:
            self.params_path = weight_path(run.config.MODEL.WEIGHT, run.config.DATA.model_path)
            if not self.params_path:
                raise ValueError("--test_weight needs a file to test: set MODEL.WEIGHT to it")
        self.images, self.more = assembly.test_input(run.config), assembly.view_spec(run.config)

    def key(self) -> Dict[str, Any]:
        """As every test's; files of other forms are checked when they are read."""
        if not self.given:
            return super().key()
        settings = {name: str(value) for name, value in self.determining().items()}
        settings.update(self.choice.determining())
        images = [str(image_id) for image_id in self.data.image_ids]
        return {"params": atomic.sha256(self.params_path), "images": images, "config": settings}

    def detectors(self) -> List[Detector]:
        """One per device."""
        check_sizes(self.entries, self.images)
        return load_detectors(self.config, self.params_path, self.data.num_classes, self.contexts, self.choice)

    def load(self, entry: Entry) -> Sample:
        """The views of an image."""
        return views(read_entry_image(entry), self.images, self.more)

    def determining(self) -> Mapping[str, Any]:
        """All but what is about training or the machine."""
        others = ("SOLVER.", "RUN.", "OUTPUT_DIR", "DATALOADER.NUM_WORKERS", "MODEL.WEIGHT")
        return {key: value for key, value in base.flatten(self.config) if not key.startswith(others)}


def check_test_set(run: Run) -> None:
    """Read the test set's annotations and image headers, so that a mistake there shows before training, not after."""
    test_set(run.config).entries()


def test(run: Run) -> Dict[str, float]:
    """Test as the run's config says; returns the scores."""
    return FCOSTest(run).run()


if __name__ == "__main__":
    main(METHOD, __doc__, test, parts=[TEST])
