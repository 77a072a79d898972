"""Names both ways, matching by suffix, and a report that leaves no array out."""

from __future__ import annotations

import numpy as np
import pytest

from fullconv.lib.convert import state_dict
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.core.params_file import CheckpointError

NAMES = {
    "backbone.body.stem.conv1.weight": "backbone.body.stem.conv1_weight",
    "backbone.body.stem.bn1.running_mean": "backbone.body.stem.bn1_running_mean",
    "backbone.body.layer1.0.downsample.1.running_var": "backbone.body.layer1.0.downsample.1_running_var",
    "backbone.fpn.fpn_inner2.bias": "backbone.fpn.fpn_inner2_bias",
    "rpn.head.cls_logits.weight": "rpn.head.cls_logits_weight",
    "rpn.head.scales.0.scale": "rpn.head.scales.0_scale",
    "conv1_1.weight": "conv1_1_weight",
    "bn_data.moving_mean": "bn_data_moving_mean",
    "bn_data.gamma": "bn_data_gamma",
    "data": "data",
}
NETWORK = {
    "backbone.body.layer1.0.conv1_weight": (4, 3, 1, 1),
    "backbone.body.layer1.0.bn1_running_mean": (4,),
    "rpn.head.cls_logits_weight": (80, 4, 3, 3),
    "rpn.head.cls_logits_bias": (80,),
}


def whole(classes=80):
    """A file that has everything."""
    return {
        "backbone.body.layer1.0.conv1.weight": np.ones((4, 3, 1, 1)),
        "backbone.body.layer1.0.bn1.running_mean": np.zeros(4),
        "rpn.head.cls_logits.weight": np.ones((classes, 4, 3, 3)),
        "rpn.head.cls_logits.bias": np.ones(classes),
    }


@pytest.mark.parametrize("theirs", NAMES)
def test_names_both_ways(theirs):
    assert state_dict.ours(theirs) == NAMES[theirs]
    assert state_dict.theirs(NAMES[theirs]) == theirs
    assert state_dict.theirs(theirs) == theirs


def test_the_model_in_a_file():
    array = np.ones(2)
    assert state_dict.model_of({"model": {"a.weight": array}, "iteration": 5}, "f") == {"a.weight": array}
    assert state_dict.model_of({"a.weight": array}, "f") == {"a.weight": array}
    counted = {"module.bn.weight": array, "module.bn.num_batches_tracked": np.array(7)}
    assert list(state_dict.model_of({"model": counted}, "f")) == ["bn.weight"]
    mixed = {"module.a.weight": array, "b.weight": array}
    assert list(state_dict.model_of(mixed, "f")) == list(mixed)  # only a prefix of all names is one


@pytest.mark.parametrize(
    "value, match",
    [
        (5, "holds a int"),
        ({}, "holds a dict, not arrays"),
        ({"model": []}, "holds a list"),
        ({"state": {"a": 1}, "epoch": 3}, "'state', 'epoch' are no arrays; save the model's state_dict"),
    ],
)
def test_files_without_a_model(value, match):
    with pytest.raises(ConvertError, match=f"model.pth: no model: .*{match}"):
        state_dict.model_of(value, "model.pth")


def test_the_longest_suffix_wins():
    wanted = ["body.stem.conv1.weight", "body.layer1.0.conv1.weight", "body.layer1.0.conv2.weight", "fpn.weight"]
    names = ["conv1.weight", "layer1.0.conv1.weight", "0.conv1.weight", "weighty"]
    assert state_dict.match_suffixes(wanted, names) == {
        "body.stem.conv1.weight": "conv1.weight",
        "body.layer1.0.conv1.weight": "layer1.0.conv1.weight",
    }


def test_a_whole_file():
    fit = state_dict.fit(NETWORK, whole())
    assert {name: array.shape for name, array in fit.params.items()} == NETWORK
    assert fit.filled["rpn.head.cls_logits_bias"] == "rpn.head.cls_logits.bias" and not fit.kept and not fit.unused
    assert fit.report().splitlines()[-1] == "4 filled, 0 kept, 0 unused"


def test_other_classes_are_told_with_both_shapes():
    with pytest.raises(CheckpointError) as caught:
        state_dict.fit(NETWORK, whole(20), source="model.pth")
    text = str(caught.value)
    assert "model.pth does not fit the network" in text
    assert "rpn.head.cls_logits_weight: file (20, 4, 3, 3), network (80, 4, 3, 3)" in text
    assert "checkpoint has 20 classes, config has 80" in text and "leave_out" in text


def test_fine_tuning_leaves_the_classes_out():
    fit = state_dict.fit(NETWORK, whole(20), leave_out=("rpn.head.cls_logits_*",))
    assert list(fit.params) == list(NETWORK)[:2]
    assert fit.kept == ["rpn.head.cls_logits_weight", "rpn.head.cls_logits_bias"]
    assert fit.unused == ["rpn.head.cls_logits.weight", "rpn.head.cls_logits.bias"]
    assert "kept rpn.head.cls_logits_bias as it was" in fit.report()


def test_everything_that_does_not_fit_is_listed():
    state = {**whole(), "rpn.head.other.weight": np.ones(3), "fc.bias": np.ones(2)}
    del state["rpn.head.cls_logits.bias"]
    with pytest.raises(CheckpointError) as caught:
        state_dict.fit(NETWORK, state)
    text = str(caught.value)
    assert "missing (1):\n    rpn.head.cls_logits_bias (80,)" in text
    assert "unexpected (2):" in text and "rpn.head.other.weight (3,)" in text
    fit = state_dict.fit(NETWORK, state, allow_missing=("*_bias",), allow_unexpected=("fc.*", "*.other.*"))
    assert fit.kept == ["rpn.head.cls_logits_bias"] and fit.unused == ["rpn.head.other.weight", "fc.bias"]


def test_a_suffix_of_another_shape_is_not_passed_over():
    """The original stops there too: a file of a smaller network must not fill a larger one by accident."""
    with pytest.raises(
        CheckpointError, match=r"wrong shape .*\n.*conv1_weight: file \(8, 3, 7, 7\), network \(4, 3, 1, 1\)"
    ):
        state_dict.fit(NETWORK, {"conv1.weight": np.ones((8, 3, 7, 7))}, allow_missing=("*",))
