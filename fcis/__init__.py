"""FCIS: fully convolutional instance-aware semantic segmentation (CVPR 2017)."""

if __name__ != "fullconv.fcis":  # a second copy under another name would have its own classes and errors
    raise ImportError("this folder is imported as fullconv.fcis: run from the checkout, python -m fullconv.fcis...")
