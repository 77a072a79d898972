"""FCN: fully convolutional networks for semantic segmentation (CVPR 2015, PAMI 2017)."""

if __name__ != "fullconv.fcn":  # a second copy under another name would have its own classes and errors
    raise ImportError("this folder is imported as fullconv.fcn: run from the checkout, python -m fullconv.fcn...")
