"""FCOS: fully convolutional one-stage object detection (ICCV 2019)."""

if __name__ != "fullconv.fcos":  # a second copy under another name would have its own classes and errors
    raise ImportError("this folder is imported as fullconv.fcos: run from the checkout, python -m fullconv.fcos...")
