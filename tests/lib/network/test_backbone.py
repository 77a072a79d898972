"""The contract of a backbone: every map of every named network has the stride and the channels it says."""

from dataclasses import replace

import mxnet as mx
import pytest

from fullconv.fcis.symbols.spec import LAYOUTS
from fullconv.lib.network.dla import DLA
from fullconv.lib.network.fpn import FPN, FPNSpec
from fullconv.lib.network.hrfpn import HRFPN, HRFPNSpec
from fullconv.lib.network.hrnet import WIDTHS, HRNet, HRNetSpec
from fullconv.lib.network.mobilenet_v2 import MobileNetV2
from fullconv.lib.network.resnet import ResNet
from fullconv.lib.network.resnet_spec import RESNETS
from fullconv.lib.network.vgg import VGG16, VGGS, vgg16_spec
from fullconv.lib.network.vovnet import VOVNETS, VoVNet

NETWORKS = {name: ResNet(spec) for name, spec in RESNETS.items()}
NETWORKS.update({name: VGG16(spec) for name, spec in VGGS.items()})
for stride, (strides, dilations) in LAYOUTS.items():
    NETWORKS[f"fcis_{stride}"] = ResNet(replace(RESNETS["resnet_v1_101"], strides=strides, dilations=dilations))
DEFORMED = replace(RESNETS["X-101-32x8d"], deformable=(0, 1, 2, 2))
NETWORKS["deformed"] = ResNet(DEFORMED)
NETWORKS["mobilenet_v2"] = MobileNetV2()
NETWORKS["pyramid"] = FPN(ResNet(RESNETS["R-50"]))
NETWORKS["pyramid_use_c5"] = FPN(ResNet(DEFORMED), FPNSpec(channels=128, top_from_body=True))
NETWORKS.update({name: HRNet(HRNetSpec(width)) for name, width in WIDTHS.items()})
NETWORKS.update({name: VoVNet(spec) for name, spec in VOVNETS.items()})
NETWORKS["dla_34"] = DLA()
NETWORKS["pyramid_hrnet"] = HRFPN(HRNet(HRNetSpec(18)), HRFPNSpec((4, 8, 16, 32, 64, 128), channels=64))
NETWORKS["pyramid_vovnet"] = FPN(VoVNet(VOVNETS["V-39"]))
NETWORKS["pyramid_real_time"] = FPN(DLA(), FPNSpec(top=0))

SIZES = ((600, 1000), (75, 93), (128, 131), (225, 64))


def shapes(maps, height, width):
    _, outputs, _ = mx.sym.Group([m.symbol for m in maps.values()]).infer_shape(data=(2, 3, height, width))
    return dict(zip(maps, outputs))


@pytest.mark.parametrize("name", NETWORKS)
def test_channels_and_strides_are_those_of_the_maps(name):
    maps = NETWORKS[name].features(mx.sym.Variable("data"))
    assert maps and [m.stride for m in maps.values()] == sorted(m.stride for m in maps.values())
    for height, width in SIZES:
        at = shapes(maps, height, width)
        for key, feature in maps.items():
            assert at[key][:2] == (2, feature.channels), key
            # What a stride is: so many pixels more make the map one pixel larger, whatever the size and the padding.
            larger = shapes({key: feature}, height + feature.stride, width + 3 * feature.stride)[key]
            assert larger[2:] == (at[key][2] + 1, at[key][3] + 3), key


@pytest.mark.parametrize(
    "name", ["resnet_v1_50", "X-101-64x4d", "vgg16_stride8", "pyramid", "HRNET-W18", "V-39", "dla_34"]
)
def test_any_symbol_can_be_the_images(name):
    """The maps stand on what they are given, and on no other input."""
    maps = NETWORKS[name].features(mx.sym.Variable("pixels") * 2)
    arguments = mx.sym.Group([m.symbol for m in maps.values()]).list_arguments()
    assert "pixels" in arguments and "data" not in arguments


def test_names_of_the_maps():
    expected = {
        "resnet_v1_50": "res2 res3 res4 res5",
        "R-50": "res2 res3 res4 res5",
        "pyramid": "P3 P4 P5 P6 P7",
        "pyramid_hrnet": "P2 P3 P4 P5 P6 P7",
        "pyramid_real_time": "P3 P4 P5",
        "HRNET-W18": "branch0 branch1 branch2 branch3",
        "V-57": "res2 res3 res4 res5",
        "dla_34": "res2 res3 res4 res5",
        "vgg16": "conv1_2 pool1 conv2_2 pool2 conv3_3 pool3 conv4_3 pool4 conv5_3 pool5",
        "vgg16_stride8": "conv1_2 pool1 conv2_2 pool2 conv3_3 pool3 conv4_3 pool4 conv5_3",
        "vgg16_fcn": "conv1_2 pool1 conv2_2 pool2 conv3_3 pool3 conv4_3 pool4 conv5_3 pool5 fc7",
    }
    for name, maps in expected.items():
        assert list(NETWORKS[name].features(mx.sym.Variable("data"))) == maps.split(), name


def test_vgg_of_stride_8_sees_as_far_as_the_published_one():
    """Every map keeps the size of pool3, and conv5 looks at places two apart (InstanceFCN)."""
    maps = NETWORKS["vgg16_stride8"].features(mx.sym.Variable("data"))
    assert [maps[name].stride for name in ("pool3", "conv4_3", "pool4", "conv5_3")] == [8, 8, 8, 8]
    at = shapes({name: maps[name] for name in ("pool3", "pool4", "conv5_3")}, 75, 93)
    assert {shape[2:] for shape in at.values()} == {(10, 12)}
    attributes = maps["conv5_3"].symbol.attr_dict()
    assert [attributes[f"conv5_{i}"]["dilate"] for i in (1, 2, 3)] == ["(2, 2)"] * 3
    assert [attributes[f"conv5_{i}_bias"]["lr_mult"] for i in (1, 2, 3)] == ["2.0"] * 3


def test_vgg_that_makes_no_network_is_named():
    with pytest.raises(ValueError, match="no backbone named 'vgg19'; known: vgg16, vgg16_fcn, vgg16_stride8"):
        vgg16_spec("vgg19")
    with pytest.raises(ValueError, match="hidden=4096: fc6 and fc7 stand on .*pad=100, not on pad=1"):
        vgg16_spec("vgg16", hidden=4096)
