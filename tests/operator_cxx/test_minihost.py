"""The finished library behind MXNet's extension interface, driven without MXNet."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Dict

import numpy as np
import pytest

POOLING = {"spatial_scale": 1.0, "output_dim": 2, "group_size": 1, "pooled_size": 2}
HEAD = {"spatial_scale": 1.0, "num_classes": 2, "num_reg": 1, "group_size": 1, "pooled_size": 2}
GROUPS = {"op_type": "Group_Max", "group": 2}
ROIS = np.array([[0, 0, 0, 3, 3]], np.float32)
MAPS = np.arange(64, dtype=np.float32).reshape(1, 4, 4, 4)


def test_forward(host: Any) -> None:
    (pooled,) = host.call("fullconv_psroi_pooling", [MAPS[:, :2], ROIS], POOLING)
    blocks = MAPS[:, :2].reshape(1, 2, 2, 2, 2, 2)
    np.testing.assert_array_equal(pooled, blocks.mean((3, 5)))
    (best,) = host.call("_contrib_ChannelOperator", [MAPS], GROUPS)
    np.testing.assert_array_equal(best, MAPS[:, 1::2])
    cls_prob, bbox_pred, seg_pred = host.call("fullconv_fcis_head", [MAPS, MAPS[:, :1], ROIS], HEAD)
    assert cls_prob[0].argmax() == 1 and bbox_pred[0, 0] == MAPS[:, :1].mean() and seg_pred.shape == (1, 2, 2, 2)


def test_backward(host: Any) -> None:
    grad, rois_grad = host.call("fullconv_psroi_pooling", [MAPS[:, :2], ROIS], POOLING, backward=True)
    np.testing.assert_array_equal(grad, 0.25)
    np.testing.assert_array_equal(rois_grad, 0)
    (grad,) = host.call("_contrib_ChannelOperator", [MAPS], GROUPS, backward=True)
    np.testing.assert_array_equal(grad.mean((0, 2, 3)), [0, 1, 0, 1])


def test_backward_of_an_inference_operator(host: Any, minihost: ModuleType) -> None:
    with pytest.raises(minihost.HostError, match="fullconv_fcis_head: has no gradient, it is for inference only"):
        host.call("fullconv_fcis_head", [MAPS, MAPS[:, :1], ROIS], HEAD, backward=True)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"spatial_scale": "abc"}, "fullconv_psroi_pooling: attribute spatial_scale='abc' is not a finite number"),
        ({"spatial_scale": -1}, "attribute spatial_scale='-1' must be above 0"),
        ({"spatial_scale": "nan"}, "attribute spatial_scale='nan' is not a finite number"),
        ({"output_dim": 1.5}, "attribute output_dim='1.5' is not an integer"),
        ({"pooled_size": 0}, "attribute pooled_size='0' must be at least 1"),
        ({"pooled_size": 10**10}, "attribute pooled_size='10000000000' is not an integer"),
        ({"poled_size": 3}, "unknown attribute poled_size='3'; it has: spatial_scale, output_dim"),
        ({"output_dim": 3}, r"input data has shape \(1,2,4,4\), expected 3 channels"),
    ],
)
def test_bad_attributes(host: Any, minihost: ModuleType, changed: Dict[str, Any], message: str) -> None:
    with pytest.raises(minihost.HostError, match=message):
        host.call("fullconv_psroi_pooling", [MAPS[:, :2], ROIS], {**POOLING, **changed})


def test_missing_attribute(host: Any, minihost: ModuleType) -> None:
    with pytest.raises(minihost.HostError, match="_contrib_ChannelOperator: attribute group is required"):
        host.call("_contrib_ChannelOperator", [MAPS], {"op_type": "Group_Max"})


@pytest.mark.parametrize(
    "attributes, message",
    [
        ({"op_type": "Group_Min", "group": 2}, "op_type='Group_Min' is none of Group_Max, Group_Pick, Group_Softmax"),
        (
            {"op_type": "Group_Max", "group": 3},
            r"input data has shape \(1,4,4,4\): channels are no multiple of group=3",
        ),
        ({"op_type": "Group_Max", "group": 0}, "attribute group='0' must be at least 1"),
    ],
)
def test_bad_groups(host: Any, minihost: ModuleType, attributes: Dict[str, Any], message: str) -> None:
    with pytest.raises(minihost.HostError, match=message):
        host.call("_contrib_ChannelOperator", [MAPS], attributes)


def test_bad_shapes(host: Any, minihost: ModuleType) -> None:
    with pytest.raises(minihost.HostError, match=r"input rois has shape \(1,4\), expected \(\*,5\)"):
        host.call("fullconv_psroi_pooling", [MAPS[:, :2], ROIS[:, 1:]], POOLING)
    pick = {"op_type": "Group_Pick", "group": 2}
    with pytest.raises(minihost.HostError, match=r"input pick_idx has shape \(3,1\), expected \(1,1,1,1\)"):
        host.call("_contrib_ChannelOperator", [MAPS, np.zeros((3, 1))], pick)
