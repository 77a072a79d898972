"""Whether a checkpoint fits a network, and what is said when not."""

from __future__ import annotations

from pathlib import Path

import mxnet as mx
import pytest

from fullconv.lib.core import checkpoint
from fullconv.lib.core.checkpoint import CheckpointError

ROOT = Path(__file__).resolve().parents[3]
NETWORK = {"conv1_weight": (4, 3, 3, 3), "conv1_bias": (4,), "head_weight": (42, 4), "bn_moving_mean": (4,)}


def arrays():
    """(args, auxs) that fit NETWORK."""
    args = {name: mx.nd.ones(shape) for name, shape in NETWORK.items() if name != "bn_moving_mean"}
    return args, {"bn_moving_mean": mx.nd.ones((4,))}


def test_fitting_arrays_pass_and_folded_copies_are_left_out():
    args, auxs = arrays()
    args["head_weight_test"] = mx.nd.ones(1)
    matched, aux = checkpoint.match_params(NETWORK, args, auxs)
    assert set(matched) | set(aux) == set(NETWORK) and set(aux) == {"bn_moving_mean"}


def test_all_misfits_are_listed_together():
    args, auxs = arrays()
    del args["conv1_bias"]
    args["extra"] = mx.nd.ones((2, 2))
    network = {**NETWORK, "head_weight": (12, 4)}
    with pytest.raises(CheckpointError) as error:
        checkpoint.match_params(network, args, auxs, units={"head_weight": ("classes", 2)}, source="a-0001.params")
    text = str(error.value)
    for part in (
        "a-0001.params",
        "conv1_bias (4,)",
        "extra (2, 2)",
        "head_weight: file (42, 4), network (12, 4)",
    ):
        assert part in text
    assert "checkpoint has 21 classes, config has 6" in text


def test_leniency_is_asked_for():
    args, auxs = arrays()
    del args["conv1_bias"]
    args["fc1000_weight"] = mx.nd.ones(1)
    with pytest.raises(CheckpointError, match="unexpected"):
        checkpoint.match_params(NETWORK, args, auxs, allow_missing=["conv1_*"])
    matched, _ = checkpoint.match_params(NETWORK, args, auxs, allow_missing=["conv1_*"], allow_unexpected=["fc*"])
    assert set(matched) == {"conv1_weight", "head_weight"}
    checkpoint.match_params(NETWORK, args, auxs, allow_missing=["conv1_*"], allow_unexpected=True)
    matched, _ = checkpoint.match_params({**NETWORK, "head_weight": (1,)}, args, auxs, partial=True)
    assert set(matched) == {"conv1_weight"}


def test_long_lists_are_cut():
    expected = {f"layer{i}": (1,) for i in range(500)}
    with pytest.raises(CheckpointError, match="missing \\(500\\)") as error:
        checkpoint.match_params(expected, {}, {})
    assert len(str(error.value)) < 1000 and "and 480 more" in str(error.value)


def test_shapes_come_from_the_symbol():
    data, label = mx.sym.Variable("data"), mx.sym.Variable("softmax_label")
    network = mx.sym.BatchNorm(mx.sym.FullyConnected(data, num_hidden=3, name="fc"), name="bn")
    network = mx.sym.SoftmaxOutput(network, label, name="softmax")
    three = ("fc_bias", "bn_gamma", "bn_beta", "bn_moving_mean", "bn_moving_var")
    expected = {"fc_weight": (3, 5), **dict.fromkeys(three, (3,))}
    assert checkpoint.expected_shapes(network, data=(2, 5)) == expected
