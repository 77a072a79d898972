"""Losses and their scaling as MXNet computes them, in the configurations FCIS trains with."""

import mxnet as mx
import numpy as np
import pytest


def run(symbol, **inputs):
    executor = symbol.bind(
        mx.cpu(),
        {name: mx.nd.array(value) for name, value in inputs.items()},
        args_grad={"x": mx.nd.zeros(inputs["x"].shape)},
        grad_req={name: "write" if name == "x" else "null" for name in inputs},
    )
    output = executor.forward(is_train=True)[0]
    executor.backward()
    return output.asnumpy(), executor.grad_dict["x"].asnumpy()


SOFTMAX = {
    "rpn_valid": {"multi_output": True, "normalization": "valid"},
    "seg_null": {"multi_output": True, "normalization": "null", "grad_scale": 10.0 / 128},
    "cls_valid": {"normalization": "valid"},
}


@pytest.mark.parametrize("case", sorted(SOFTMAX))
def test_softmax_losses(fcis_reference, case):
    recorded = fcis_reference("loss_ops")
    x, label = mx.sym.Variable("x"), mx.sym.Variable("label")
    loss = mx.sym.SoftmaxOutput(x, label, use_ignore=True, ignore_label=-1, **SOFTMAX[case])
    output, grad = run(loss, x=recorded[f"{case}_x"], label=recorded[f"{case}_label"])
    np.testing.assert_allclose(output, recorded[f"{case}_out"], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(grad, recorded[f"{case}_grad"], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("scalar", [1, 3])
def test_smooth_l1(fcis_reference, scalar):
    recorded = fcis_reference("loss_ops")
    loss = mx.sym.MakeLoss(mx.sym.smooth_l1(mx.sym.Variable("x"), scalar=float(scalar)), grad_scale=1.0 / 256)
    output, grad = run(loss, x=recorded[f"sl1_{scalar}_x"])
    np.testing.assert_allclose(output, recorded[f"sl1_{scalar}_out"], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(grad, recorded[f"sl1_{scalar}_makeloss256_grad"], rtol=1e-6, atol=1e-9)
