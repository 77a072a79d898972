"""The loss and its gradient in Caffe's seven normalisations."""

from __future__ import annotations

import re

import mxnet as mx
import numpy as np

from fullconv.lib.network.loss import pixel_softmax_loss
from tests.reference.fcn.losses import EXACT, RECORDED, exact_loss

OURS = {
    "norm_false": "batch",
    "norm_true": "valid",
    "default": "valid",
    "full": "full",
    "none": "none",
    "batch": "batch",
    "valid": "valid",
}


def run(score, label, normalization):
    symbol = pixel_softmax_loss(mx.sym.Variable("score"), mx.sym.Variable("label"), normalization)
    executor = symbol.simple_bind(mx.cpu(), grad_req={"score": "write"}, score=score.shape, label=label.shape)
    executor.arg_dict["score"][:] = score
    executor.arg_dict["label"][:] = label
    loss = executor.forward(is_train=True)[0].asscalar()
    executor.backward()
    return loss, executor.grad_dict["score"].asnumpy()


def test_loss_and_gradient(fcn_reference):
    arrays = fcn_reference("softmax_loss")
    cases = [re.fullmatch(r"(\w+?)_(norm_false|norm_true|default|full|none|batch|valid)_loss", key) for key in arrays]
    cases = [case.groups() for case in cases if case]
    assert {kind for _, kind in cases} == set(OURS)
    for data, kind in cases:
        score = arrays[f"{data}_x"]
        label = arrays.get(f"{data}_label", np.full((len(score), 1) + score.shape[2:], 255))
        loss, gradient = run(score, label, OURS[kind])
        np.testing.assert_allclose(loss, exact_loss(score, label, OURS[kind]), rtol=EXACT, err_msg=f"{data} {kind}")
        np.testing.assert_allclose(loss, arrays[f"{data}_{kind}_loss"], rtol=RECORDED, err_msg=f"{data} {kind}")
        np.testing.assert_allclose(gradient, arrays[f"{data}_{kind}_grad"], rtol=1e-5, atol=1e-6)
