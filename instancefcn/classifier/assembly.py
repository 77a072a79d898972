"""What the classifier's parts get from a configuration, as plain values."""

from __future__ import annotations

from typing import Union

from easydict import EasyDict

from fullconv.instancefcn.assembly import COARSE, FINE
from fullconv.instancefcn.checks import VGG
from fullconv.instancefcn.classifier.symbols import NEW_LAYERS, ClassifierSpec
from fullconv.instancefcn.classifier.targets import SamplingSpec
from fullconv.instancefcn.classifier.tester import ResultSpec
from fullconv.instancefcn.preprocess import InputSpec
from fullconv.instancefcn.weights import Start
from fullconv.lib.network.norm import norm_of
from fullconv.lib.network.resnet_spec import ResNetSpec, resnet_spec
from fullconv.lib.network.vgg import VGG16Spec, vgg16_spec


def classifier_spec(config: EasyDict, classes: int) -> ClassifierSpec:
    """The network for so many classes, background included."""
    given, vgg = config.CLASSIFIER, config.symbol == VGG
    body: Union[VGG16Spec, ResNetSpec]
    if vgg:
        body = vgg16_spec("vgg16" if given.STRIDE == 16 else "vgg16_stride8", width=config.network.WIDTH)
    else:
        strides, dilations = COARSE if given.STRIDE == 16 else FINE
        norm = norm_of(False, config.network.GN_CHANNELS)
        body = resnet_spec(config.symbol, strides=strides, dilations=dilations, norm=norm)
    cls, seg, box = map(float, given.LOSS_WEIGHT)
    return ClassifierSpec(body, given.FEATURE or ("conv5_3" if vgg else "res5"), classes, given.HIDDEN, (cls, seg, box))


def input_spec(config: EasyDict) -> InputSpec:
    """How images become input."""
    given, network = config.CLASSIFIER, config.network
    means = tuple(map(float, network.PIXEL_MEANS))
    return InputSpec(tuple(given.SCALES), given.MAX_SIZE, means, given.STRIDE, config.TRAIN.FLIP)


def sampling_spec(config: EasyDict) -> SamplingSpec:
    """Which proposals are trained on."""
    given = config.CLASSIFIER
    (high, middle, low), (x, y, w, h) = map(float, given.SHARES), map(float, given.BBOX_STDS)
    return SamplingSpec(given.ROIS, (high, middle, low), (x, y, w, h), given.MASK_INPUT)


def result_spec(config: EasyDict) -> ResultSpec:
    """From scores to detections."""
    given = config.CLASSIFIER
    return ResultSpec(
        proposals=given.PROPOSALS,
        canonical=given.CANONICAL,
        mask_input=given.MASK_INPUT,
        nms=given.NMS,
        voting=given.VOTING,
        merge_thresh=given.MERGE_THRESH,
        binary_thresh=given.BINARY_THRESH,
        mask_size=given.MASK_SIZE,
        max_per_image=given.max_per_image,
        thresh=given.thresh,
    )


def start(config: EasyDict) -> Start:
    """What training starts from."""
    # Both paths start as the same classifier of ImageNet.
    twins = {"fc6_mask": "fc6", "fc7_mask": "fc7"}
    return Start(config.CLASSIFIER.pretrained, (*NEW_LAYERS, *twins), NEW_LAYERS, twins)
