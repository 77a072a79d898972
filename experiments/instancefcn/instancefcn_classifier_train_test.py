"""Train the classifier of proposals, then test it; both sets' proposals are made first where they are not there.

python experiments/instancefcn/instancefcn_classifier_train_test.py --cfg <yaml>
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])  # where `fullconv` is, in a checkout

from fullconv.instancefcn.classifier.steps import propose  # noqa: E402
from fullconv.instancefcn.classifier.test import test  # noqa: E402
from fullconv.instancefcn.classifier.train import train  # noqa: E402
from fullconv.instancefcn.config import CLASSIFIER_METHOD  # noqa: E402
from fullconv.lib.experiment.command_line import main  # noqa: E402

if __name__ == "__main__":
    main(CLASSIFIER_METHOD, __doc__, propose, train, then=test)
