"""The first of the two steps for the second one: proposals of the sets that it trains and tests on."""

from __future__ import annotations

import copy

from fullconv.instancefcn.test import InstanceFCNTest
from fullconv.lib.experiment.command_line import Run


def propose(run: Run) -> None:
    """Proposals of the training and the test set, by this config's trained network, unless they are on disk or
    CLASSIFIER names their files."""
    given, dataset = run.config.CLASSIFIER, run.config.dataset
    for path, image_set in ((given.proposals, dataset.image_set), (given.test_proposals, dataset.test_image_set)):
        if not path:
            config = copy.deepcopy(run.config)
            config.dataset.test_image_set = image_set
            InstanceFCNTest(run._replace(config=config)).proposals()
