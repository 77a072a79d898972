"""Train FCN, then test it: `python experiments/fcn/fcn_end2end_train_test.py --cfg <yaml>`."""

import os

os.environ.setdefault("MXNET_CUDNN_AUTOTUNE_DEFAULT", "0")
os.environ.setdefault("MXNET_ENABLE_GPU_P2P", "0")

from fcn import config  # noqa: E402
from fcn.test import check_test_set, test  # noqa: E402
from fcn.train_end2end import train  # noqa: E402
from lib.core import experiment  # noqa: E402

if __name__ == "__main__":
    experiment.main(config.load, __doc__, check_test_set, train, test)
