"""VGG-16 as a backbone: the table of `lib.network.caffe.vgg16` under the contract of `lib.network.backbone`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Dict, List, Tuple

import mxnet as mx

from fullconv.lib.network.backbone import FeatureMap
from fullconv.lib.network.caffe import layer as rows
from fullconv.lib.network.caffe.compose import compose
from fullconv.lib.network.caffe.coordinates import coordinate_maps
from fullconv.lib.network.caffe.layer import Layer
from fullconv.lib.network.caffe.vgg16 import PADS, STAGES, STAGES_OF_STRIDE_8, Stage, vgg16_convolutions, vgg16_fcn

BOTTOM = "data"


@dataclass(frozen=True)
class VGG16Spec:
    """What distinguishes one VGG-16 from another.

    stages: see `lib.network.caffe.vgg16`. width: multiplier of all channels. pad: of the first convolution.
    hidden: channels of fc6 and fc7 as convolutions, with the padding of FCN; 0 leaves them out.
    """

    stages: Tuple[Stage, ...] = STAGES
    width: float = 1.0
    pad: int = 1
    hidden: int = 0

    def __post_init__(self) -> None:
        if self.hidden and (self.pad != PADS[0] or self.stages != STAGES):
            raise ValueError(
                f"VGG-16 with hidden={self.hidden}: fc6 and fc7 stand on the published stages and pad={PADS[0]}, "
                f"not on pad={self.pad} or other stages"
            )


VGGS: Dict[str, VGG16Spec] = {
    "vgg16": VGG16Spec(),
    "vgg16_fcn": VGG16Spec(pad=PADS[0], hidden=4096),
    "vgg16_stride8": VGG16Spec(stages=STAGES_OF_STRIDE_8),
}
"""The published trunk, that of FCN with fc6 and fc7, and that of InstanceFCN, whose last map has stride 8."""


def vgg16_spec(name: str, **changes: Any) -> VGG16Spec:
    """A VGG-16 by name, with fields of VGG16Spec changed.

    Raises:
        ValueError: no such network; the message lists those known.
    """
    if name not in VGGS:
        raise ValueError(f"no backbone named {name!r}; known: {', '.join(sorted(VGGS))}")
    return replace(VGGS[name], **changes)


class VGG16:
    """The backbone of a specification; its maps are called as Caffe calls its blobs."""

    def __init__(self, spec: VGG16Spec) -> None:
        self.spec = spec

    def features(self, data: mx.sym.Symbol) -> Dict[str, FeatureMap]:
        """Maps of images (N, 3, H, W): each stage's last convolution after its ReLU and its pooling, `conv1_2`,
        `pool1`, ..., `conv5_3`, `pool5`, and `fc7` where there is one."""
        layers = [rows.data(BOTTOM, 3), *self._trunk()]
        blobs, places = compose(layers, {BOTTOM: data}), coordinate_maps(layers)
        # Poolings keep the channels of the convolution in front of them, so convolutions tell all.
        channels = {layer.top: layer.options["num_output"] for layer in layers if layer.type == "Convolution"}
        maps = {}
        for number, stage in enumerate(self.spec.stages, 1):
            last = f"conv{number}_{stage.convolutions}"
            for blob in (last, f"pool{number}"):
                if blob in blobs:
                    # Steps are fractions because deconvolutions divide them; a trunk has none, so they are whole here.
                    maps[blob] = FeatureMap(blobs[blob], int(places[blob].vertical.step), channels[last])
        if "fc7" in blobs:
            maps["fc7"] = FeatureMap(blobs["fc7"], int(places["fc7"].vertical.step), channels["fc7"])
        return maps

    def _trunk(self) -> List[Layer]:
        spec = self.spec
        if spec.hidden:
            # Without dropout, which a method adds where it trains.
            return vgg16_fcn(BOTTOM, spec.width, spec.hidden, ratio=0.0)
        return vgg16_convolutions(BOTTOM, spec.width, first_pad=spec.pad, stages=spec.stages)
