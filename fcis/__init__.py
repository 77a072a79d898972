"""FCIS: fully convolutional instance-aware semantic segmentation (CVPR 2017)."""
