"""Test a trained InstanceFCN: `python experiments/instancefcn/instancefcn_end2end_test.py --cfg <yaml>`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])  # where `fullconv` is, in a checkout

from fullconv.instancefcn.config import METHOD  # noqa: E402
from fullconv.instancefcn.test import test  # noqa: E402
from fullconv.lib.experiment.command_line import TEST, main  # noqa: E402

if __name__ == "__main__":
    main(METHOD, __doc__, test, parts=[TEST])
