"""InstanceFCN: instance-sensitive fully convolutional networks for proposing object segments.

Dai, He, Li, Ren and Sun, "Instance-sensitive Fully Convolutional Networks" (ECCV 2016).
"""

if __name__ != "fullconv.instancefcn":  # a second copy under another name would have its own classes and errors
    raise ImportError("this folder is imported as fullconv.instancefcn: run from the checkout, python -m fullconv....")
