"""FCN: fully convolutional networks for semantic segmentation (CVPR 2015, PAMI 2017)."""
