"""Detectron's pickles: what they hold, how their blobs are renamed, and what is said of others."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from fullconv.lib.convert import detectron
from fullconv.lib.convert.errors import ConvertError

BLOBS = {
    "conv1_w": np.arange(12, dtype="f4").reshape(2, 1, 3, 2),
    "res_conv1_bn_s": np.array([1.5, 2], "f4"),
    "conv1_w_momentum": np.zeros(3, "f4"),
    "fc1000_b": np.ones(4, "f4"),
}
RENAMED = {
    "conv1_w": "conv1.weight",
    "conv1_b": "conv1.bias",
    "res_conv1_bn_s": "bn1.weight",
    "res_conv1_bn_b": "bn1.bias",
    "res2_0_branch1_w": "layer1.0.downsample.0.weight",
    "res2_0_branch1_bn_s": "layer1.0.downsample.1.weight",
    "res2_0_branch1_bn_b": "layer1.0.downsample.1.bias",
    "res3_3_branch2a_w": "layer2.3.conv1.weight",
    "res4_22_branch2b_w": "layer3.22.conv2.weight",
    "res4_22_branch2b_b": "layer3.22.conv2.bias",
    "res4_22_branch2b_bn_s": "layer3.22.bn2.weight",
    "res5_2_branch2c_bn_b": "layer4.2.bn3.bias",
    "fc1000_w": "fc1000_w",
    "pred_w": "pred_w",  # as `pred.weight` it would be a suffix of `bbox_pred.weight`
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("wrapped", [True, False])
def test_blobs_without_momenta(tmp_path, protocol, wrapped):
    path = tmp_path / "R-50.pkl"
    content = {**BLOBS, "weight_order": ["conv1_w"]}
    path.write_bytes(pickle.dumps({"blobs": content, "cfg": "NUM_GPUS: 8\n"} if wrapped else content, protocol))
    got = detectron.read(str(path))
    assert list(got) == ["conv1_w", "res_conv1_bn_s", "fc1000_b"] and type(got["conv1_w"]) is np.ndarray
    for name, array in got.items():
        np.testing.assert_array_equal(array, BLOBS[name])


def test_names():
    blobs = {name: np.full(1, index) for index, name in enumerate(RENAMED)}
    assert {new: array[0] for new, array in detectron.rename(blobs).items()} == {
        new: index for index, new in enumerate(RENAMED.values())
    }


def test_names_of_deformable_stages():
    blobs = {f"res{stage}_1_branch2b_w": np.zeros(1) for stage in (2, 3, 4, 5)}
    blobs["res5_1_branch2b_bn_s"] = np.zeros(1)
    assert list(detectron.rename(blobs, (False, False, True, True))) == [
        "layer1.1.conv2.weight",
        "layer2.1.conv2.weight",
        "layer3.1.conv2.conv.weight",
        "layer4.1.conv2.conv.weight",
        "layer4.1.bn2.weight",
    ]


@pytest.mark.parametrize(
    "content, match",
    [
        (pickle.dumps(0x1950A86A20F9469CFC6C, 2), "PyTorch file: let its name end in .pth"),
        (pickle.dumps([1, 2], 2), "no dict of arrays"),
        (pickle.dumps({}, 2), "no dict of arrays"),
        (pickle.dumps({"blobs": {}}, 2), "no dict of arrays"),
        (pickle.dumps({"model": {"stem.conv1.weight": 1}, "__author__": "x"}, 2), "'model' is no array; .*Detectron2"),
        (pickle.dumps({3: np.zeros(2)}, 2), "'?3'? is no array"),
        (b"PK\x03\x04", "zip archive or PyTorch"),
        (b"version https://git-lfs", "git lfs pull"),
        (b"<html>", "web page"),
        (b"hello", "starts with"),
        (b"", "empty"),
    ],
)
def test_other_files(tmp_path, content, match):
    path = tmp_path / "R-50.pkl"
    path.write_bytes(content)
    with pytest.raises(ConvertError, match=match) as caught:
        detectron.read(str(path))
    assert str(path) in str(caught.value)
