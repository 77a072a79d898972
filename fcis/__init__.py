"""FCIS: fully convolutional instance-aware semantic segmentation (CVPR 2017)."""

import lib  # noqa: F401  sets the number of threads, which MXNet reads when it is imported
