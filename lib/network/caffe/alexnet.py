"""AlexNet in the order of CaffeNet (pooling before normalisation), made fully convolutional, as a table of layers.

Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks" (NIPS 2012). No
multipliers are stated: biases learn at the rate of the weights and decay like them.
"""

from __future__ import annotations

from typing import List, NamedTuple

from fullconv.lib.network.caffe.layer import Layer, convolution, dropout, lrn, max_pooling, relu
from fullconv.lib.network.caffe.vgg16 import scaled


class Stage(NamedTuple):
    """One convolution with ReLU, and what follows it."""

    channels: int
    kernel: int
    stride: int = 1
    pad: int = 0
    group: int = 1
    pool: bool = False
    norm: bool = False


STAGES = (
    # With 100 an image of one pixel leaves a map of 6x6 in front of fc6, which is its kernel.
    Stage(96, 11, stride=4, pad=100, pool=True, norm=True),
    Stage(256, 5, pad=2, group=2, pool=True, norm=True),
    Stage(384, 3, pad=1),
    Stage(384, 3, pad=1, group=2),
    Stage(256, 3, pad=1, group=2, pool=True),
)


GROUPS = 2
"""All widths are multiples of the largest number of groups, so that the next layer's groups get equal shares."""


def alexnet_fcn(bottom: str, width: float = 1.0, hidden: int = 4096, ratio: float = 0.5) -> List[Layer]:
    """The trunk from `bottom` (N, 3, H, W) to fc7 (N, hidden, h, w) with steps of 32 pixels.

    width: multiplier of the channels of conv1 to conv5. ratio: dropout after fc6 and fc7; 0 leaves it out.
    """
    layers: List[Layer] = []
    blob = bottom
    for index, stage in enumerate(STAGES, 1):
        channels = scaled(stage.channels, width, GROUPS)
        layers.append(convolution(f"conv{index}", blob, channels, stage.kernel, stage.stride, stage.pad, stage.group))
        layers.append(relu(f"relu{index}", f"conv{index}"))
        if stage.pool:
            layers.append(max_pooling(f"pool{index}", layers[-1].top, kernel=3, stride=2))
        if stage.norm:
            layers.append(lrn(f"norm{index}", layers[-1].top, size=5, alpha=1e-4, beta=0.75, k=1.0))
        blob = layers[-1].top
    for unit, kernel in ((6, 6), (7, 1)):
        layers += [convolution(f"fc{unit}", blob, hidden, kernel), relu(f"relu{unit}", f"fc{unit}")]
        blob = layers[-1].top
        if ratio:
            layers.append(dropout(f"drop{unit}", blob, ratio))
    return layers
