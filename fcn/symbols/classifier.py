"""A classifier of small images: it learns the trunk that an FCN starts from."""

from __future__ import annotations

from typing import List

from fullconv.fcn.symbols.fcn import FCN
from fullconv.fcn.symbols.networks import VOC, Network
from fullconv.lib.network.caffe import layer as rows
from fullconv.lib.network.caffe.layer import WEIGHT_AND_BIAS, Layer
from fullconv.lib.network.caffe.vgg16 import vgg16_classifier

CLASSIFIER = "vgg16-classifier"
"""Its name among the networks of a training."""


class Classifier(FCN):
    """The trunk of VGG-16 and a score of the image as a whole: an FCN whose map is one pixel.

    classes, width: as of `FCN`. Labels are (N, 1, 1, 1). Networks with `norm` can start from its weights; batches
    normalise it, so it wants more than a few images in one.
    """

    def __init__(self, classes: int, width: float = 1.0) -> None:
        super().__init__(Network(VOC), [classes], width, norm=True)

    def _layers(self) -> List[Layer]:
        head = self.heads[0]
        trunk = vgg16_classifier("data", self.width)
        score = rows.convolution(head.score, trunk[-1].top, head.classes, kernel=1, mults=WEIGHT_AND_BIAS)
        return [rows.data("data", 3), *trunk, score]
