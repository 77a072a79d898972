"""FCN: fully convolutional networks for semantic segmentation (CVPR 2015, PAMI 2017)."""

import lib  # noqa: F401  sets the number of threads, which MXNet reads when it is imported
