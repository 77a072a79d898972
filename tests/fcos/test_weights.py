"""What training starts from: nothing, an ImageNet network, a whole FCOS, and files that do not fit."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from fullconv.fcos.symbols.fcos import level_sizes
from fullconv.fcos.symbols.fcos import test_symbol as network_symbol
from fullconv.fcos.symbols.spec import HeadSpec, NetworkSpec
from fullconv.fcos.weights import Start, load_model, start_weights, weight_path
from fullconv.lib.convert import weights
from fullconv.lib.convert.state_dict import theirs
from fullconv.lib.core.matching import expected_shapes
from fullconv.lib.core.params_file import CheckpointError
from fullconv.lib.network.fpn import FPNSpec
from fullconv.lib.network.mobilenet_v2 import MobileNetV2Spec
from fullconv.lib.network.resnet_spec import resnet_spec

HEAD = HeadSpec(3, 2, deformable=True)
SLIM = NetworkSpec(
    HEAD, resnet_spec("R-50", stem=8, outputs=32, group_width=8, deformable=(0, 0, 0, 2)), FPNSpec(channels=32)
)
MOBILE = NetworkSpec(HeadSpec(3, 1), MobileNetV2Spec(), FPNSpec(channels=32))


def shapes_of(network):
    return expected_shapes(network_symbol(network), data=(1, 3, 64, 96))


@pytest.fixture(scope="module")
def shapes():
    return shapes_of(SLIM)


def started(shapes, **start):
    lines = []
    arrays = start_weights(shapes, Start(**start), np.random.RandomState(0), lines.append)
    return {name: array.asnumpy() for name, array in arrays.items()}, lines[0]


def test_from_nothing_as_the_original_begins(shapes):
    arrays, line = started(shapes)
    assert set(arrays) == set(shapes) and "0 arrays from no file" in line
    head = "rpn.head."
    assert arrays[f"{head}cls_logits_bias"] == pytest.approx(-4.59512, abs=1e-4)
    assert (arrays[f"{head}scales.4_scale"] == 1).all() and (arrays[f"{head}cls_tower.1_weight"] == 1).all()
    assert arrays[f"{head}cls_tower.0_weight"].std() == pytest.approx(0.01, rel=0.1)
    assert arrays[f"{head}cls_tower.3.offset_weight"].std() == pytest.approx(0.01, rel=0.1)
    # uniform, up to the root of 3 / fan-in; a deformable convolution itself up to that of 1 / fan-in
    fan_in = 32 * 9
    assert np.abs(arrays["backbone.fpn.fpn_layer2_weight"]).max() == pytest.approx(np.sqrt(3 / fan_in), rel=0.02)
    assert np.abs(arrays[f"{head}cls_tower.3.conv_weight"]).max() == pytest.approx(np.sqrt(1 / fan_in), rel=0.02)
    assert (arrays["backbone.body.layer1.0.bn1_running_var"] == 1).all()
    assert not arrays["backbone.body.layer1.0.bn1_running_mean"].any() and not arrays[f"{head}bbox_pred_bias"].any()


def test_mobilenet_begins_otherwise():
    arrays, _ = started(shapes_of(MOBILE))
    weight = arrays["backbone.body.features.17.conv.6_weight"]
    assert weight.std() == pytest.approx(np.sqrt(2 / 320), rel=0.02)


def test_from_a_detectron_file(shapes, tmp_path):
    blobs = {"conv1_w": np.full((8, 3, 7, 7), 2, "f4"), "fc1000_w": np.zeros(3, "f4")}
    names = {"res_conv1_bn": 8}
    units = {"1": (32, 8), "2": (64, 16), "3": (128, 32), "4": (256, 64)}
    for stage, count in zip("2345", (3, 4, 6, 3)):
        out, width = units[str(int(stage) - 1)]
        before = 8 if stage == "2" else out // 2
        for block in range(count):
            inputs = before if block == 0 else out
            branches = [("2a", width, inputs, 1), ("2b", width, width, 3), ("2c", out, width, 1)]
            branches += [("1", out, inputs, 1)] if block == 0 else []
            for branch, o, i, k in branches:
                blobs[f"res{stage}_{block}_branch{branch}_w"] = np.full((o, i, k, k), 3, "f4")
                names[f"res{stage}_{block}_branch{branch}_bn"] = o
    for name, channels in names.items():
        blobs.update({f"{name}_s": np.ones(channels, "f4"), f"{name}_b": np.zeros(channels, "f4")})
    path = tmp_path / "R-50.pkl"
    path.write_bytes(pickle.dumps({"blobs": blobs}, 2))
    arrays, _ = started(shapes, path=str(path), stage_with_dcn=(False, False, False, True))
    assert (arrays["backbone.body.stem.conv1_weight"] == 2).all()
    assert (arrays["backbone.body.layer4.2.conv2.conv_weight"] == 3).all()
    assert not (arrays["backbone.body.layer4.2.conv2.offset_weight"] == 3).any()
    del blobs["res3_1_branch2b_w"]
    path.write_bytes(pickle.dumps({"blobs": blobs}, 2))
    with pytest.raises(CheckpointError, match="layer2.1.conv2_weight"):
        started(shapes, path=str(path), stage_with_dcn=(False, False, False, True))


def test_from_a_whole_model_of_other_classes(shapes, tmp_path):
    path = str(tmp_path / "model.pth")
    other = shapes_of(NetworkSpec(HeadSpec(7, 2, deformable=True), SLIM.body, SLIM.fpn))
    weights.write(path, {theirs(name): np.full(shape, 5, "f4") for name, shape in other.items()})
    with pytest.raises(CheckpointError, match="checkpoint has 7 classes, config has 3"):
        started(shapes, path=path)
    arrays, line = started(shapes, path=path, leave_out=["rpn.head.cls_logits_*"])
    assert (arrays["rpn.head.bbox_pred_weight"] == 5).all() and not (arrays["rpn.head.cls_logits_weight"] == 5).any()
    assert "2 as the original begins" in line
    with pytest.raises(CheckpointError, match="checkpoint has 7 classes"):
        load_model(shapes, path)


def test_names_of_the_catalogue(tmp_path):
    (tmp_path / "R-50.pkl").write_bytes(b"x")
    (tmp_path / "a.pth").write_bytes(b"x")
    assert weight_path("catalog://ImageNetPretrained/MSRA/R-50", str(tmp_path)) == str(tmp_path / "R-50.pkl")
    assert weight_path("https://host/a.pth", str(tmp_path)) == str(tmp_path / "a.pth")
    assert weight_path(str(tmp_path / "a.pth"), "") == str(tmp_path / "a.pth")
    assert weight_path("", "") == ""
    with pytest.raises(CheckpointError, match="b.pth: no such file. It stands for http://host/b.pth: fetch that"):
        weight_path("http://host/b.pth", str(tmp_path))


@pytest.mark.parametrize("size", [(64, 96), (75, 93), (800, 1216), (33, 1), (129, 257)])
def test_sizes_of_the_levels(size):
    symbol = network_symbol(SLIM)
    _, outputs, _ = symbol.infer_shape(data=(1, 3, *size))
    found = dict(zip(symbol.list_outputs(), outputs))
    assert [found[f"logits_P{n}_output"][2:] for n in range(3, 8)] == level_sizes(*size)
