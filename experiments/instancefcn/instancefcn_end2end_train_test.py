"""Train InstanceFCN, then test it: `python experiments/instancefcn/instancefcn_end2end_train_test.py --cfg <yaml>`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])  # where `fullconv` is, in a checkout

from fullconv.instancefcn.config import METHOD  # noqa: E402
from fullconv.instancefcn.test import check_test_set, test  # noqa: E402
from fullconv.instancefcn.train_end2end import train  # noqa: E402
from fullconv.lib.experiment.command_line import main  # noqa: E402

if __name__ == "__main__":
    main(METHOD, __doc__, check_test_set, train, then=test)
