"""The channel operator under its original name: recorded outputs and gradients, to the last bit."""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple

import mxnet as mx
import numpy as np
import pytest

import fullconv.lib.operators  # noqa: F401  (registers mx.nd.contrib.ChannelOperator)


@pytest.fixture(scope="module")
def recorded(fcis_reference: Callable[[str], Dict[str, np.ndarray]]) -> Dict[str, np.ndarray]:
    return fcis_reference("channel_ops")


def run(recorded: Dict[str, np.ndarray], data: str, grad: str = "", **attributes: Any) -> Tuple[np.ndarray, np.ndarray]:
    """Output and, for a recorded head gradient, the gradient of the data."""
    x = mx.nd.array(recorded[data])
    x.attach_grad()
    with mx.autograd.record():
        out = mx.nd.contrib.ChannelOperator(data=x, group=int(recorded["group"]), **attributes)
    if grad:
        out.backward(mx.nd.array(recorded[grad]))
    return out.asnumpy(), x.grad.asnumpy()


def pick(recorded: Dict[str, np.ndarray], key: str) -> Dict[str, Any]:
    return {"op_type": "Group_Pick", "pick_idx": mx.nd.array(recorded[key])}


def test_group_max(recorded: Dict[str, np.ndarray]) -> None:
    out, grad = run(recorded, "data", "gmax_grad_out", op_type="Group_Max")
    np.testing.assert_array_equal(out, recorded["gmax_out"])
    np.testing.assert_array_equal(grad, recorded["gmax_grad_in"])


def test_group_max_gradient_goes_to_the_recorded_channel(recorded: Dict[str, np.ndarray]) -> None:
    _, grad = run({**recorded, "ones": np.ones_like(recorded["gmax_out"])}, "data", "ones", op_type="Group_Max")
    channels = np.arange(grad.shape[1])[None, :, None, None]
    depth = grad.shape[1] // int(recorded["group"])
    chosen = np.repeat(recorded["gmax_idx"], depth, 1) == channels
    np.testing.assert_array_equal(grad != 0, chosen)


@pytest.mark.parametrize("label, expected", [("pick_label", "pick_out"), ("pick_label_neg", "pick_neg_out")])
def test_label_pick(recorded: Dict[str, np.ndarray], label: str, expected: str) -> None:
    out, _ = run(recorded, "data", **pick(recorded, label), pick_type="Label_Pick")
    np.testing.assert_array_equal(out, recorded[expected])


def test_label_pick_gradient(recorded: Dict[str, np.ndarray]) -> None:
    _, grad = run(recorded, "data", "pick_grad_out", **pick(recorded, "pick_bwd_label"))
    np.testing.assert_array_equal(grad, recorded["pick_grad_in"])


def test_score_pick(recorded: Dict[str, np.ndarray]) -> None:
    out, _ = run(recorded, "data", **pick(recorded, "score"), pick_type="Score_Pick")
    np.testing.assert_array_equal(out, recorded["score_pick_out"])
    by_label, _ = run(recorded, "data", **pick(recorded, "score_argmax"))
    np.testing.assert_array_equal(by_label, out)


def test_group_softmax(recorded: Dict[str, np.ndarray]) -> None:
    """The recording is numpy's exp in float32, which differs between processors in the last place."""
    out, _ = run(recorded, "softmax_in", op_type="Group_Softmax")
    np.testing.assert_allclose(out, recorded["gsoftmax_out"], rtol=0, atol=2.4e-7)
