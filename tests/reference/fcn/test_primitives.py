"""Single layers as `lib.network.caffe.compose` builds them, forward and backward, against Caffe."""

from __future__ import annotations

import re

import mxnet as mx
import numpy as np

from fullconv.lib.network.caffe import layer as rows
from fullconv.lib.network.caffe.compose import compose


def run(row, arrays, params=()):
    """(output, input gradient, parameter gradients) of one layer for `x` and the output gradient `gy`."""
    symbol = compose([rows.data("x", arrays["x"].shape[1]), row])[row.top]
    executor = symbol.simple_bind(mx.cpu(), grad_req="write", x=arrays["x"].shape)
    executor.arg_dict["x"][:] = arrays["x"]
    names = row.array_names()
    for name, value in zip(names, params):
        executor.arg_dict[name][:] = value
    output = executor.forward(is_train=True)[0].asnumpy()
    executor.backward(mx.nd.array(arrays["gy"]))
    return output, executor.grad_dict["x"].asnumpy(), [executor.grad_dict[name].asnumpy() for name in names]


def cases(arrays, pattern):
    """(match, the case's arrays without its prefix) for all case names that fit the pattern."""
    found = {}
    for key in arrays:
        match = re.fullmatch(rf"({pattern})_([a-z]+\d?)", key)
        if match:
            found.setdefault(match.group(1), {})[match.groups()[-1]] = arrays[key]
    assert found
    return [(re.fullmatch(pattern, name), case) for name, case in found.items()]


def close(found, expected, name):
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale, err_msg=name)


def test_pooling_rounds_sizes_up(fcn_reference):
    for match, case in cases(fcn_reference("primitives"), r"pool_k(\d+)_s(\d+)_h\d+"):
        row = rows.max_pooling("pool", "x", int(match.group(1)), int(match.group(2)))
        output, gradient, _ = run(row, case)
        np.testing.assert_array_equal(output, case["y"], err_msg=match.group())
        close(gradient, case["gx"], match.group())


def test_first_maximum_takes_the_gradient_of_ties(fcn_reference):
    for match, case in cases(fcn_reference("pool_ties"), r"ties_k(\d+)_[a-z]+"):
        _, gradient, _ = run(rows.max_pooling("pool", "x", int(match.group(1)), stride=2), case)
        np.testing.assert_allclose(gradient, case["gx"], rtol=0, atol=1e-6, err_msg=match.group())


def test_lrn(fcn_reference):
    ((_, case),) = cases(fcn_reference("primitives"), "lrn")
    output, gradient, _ = run(rows.lrn("norm", "x", size=5, alpha=1e-4, beta=0.75, k=1.0), case)
    close(output, case["y"], "lrn")
    close(gradient, case["gx"], "lrn")


def check_learned(row, case, name):
    params = [case[key] for key in sorted(case) if re.fullmatch(r"p\d", key)]
    output, gradient, grads = run(row, case, params)
    close(output, case["y"], name)
    close(gradient, case["gx"], name)
    for index, found in enumerate(grads):
        close(found, case[f"gp{index}"], f"{name} gp{index}")


def test_grouped_convolution(fcn_reference):
    for match, case in cases(fcn_reference("primitives"), r"conv_g(\d+)"):
        count, _, kernel, _ = case["p0"].shape
        row = rows.convolution("conv", "x", count, kernel, pad=kernel // 2, group=int(match.group(1)))
        check_learned(row, case, match.group())


def test_convolution_with_more_padding_than_image(fcn_reference):
    for match, case in cases(fcn_reference("primitives"), r"conv_k(\d+)s(\d+)p(\d+)"):
        kernel, stride, pad = (int(match.group(i)) for i in (1, 2, 3))
        check_learned(rows.convolution("conv", "x", len(case["p0"]), kernel, stride, pad), case, match.group())


def test_deconvolution(fcn_reference):
    for match, case in cases(fcn_reference("primitives"), r"deconv_(?:k\d+s\d+|io)"):
        kernel = case["p0"].shape[2]
        stride = (case["y"].shape[2] - kernel) // (case["x"].shape[2] - 1)
        row = rows.deconvolution("up", "x", case["p0"].shape[1], kernel, stride)
        check_learned(row, case, match.group())


def test_scale_has_one_factor_per_channel(fcn_reference):
    arrays = fcn_reference("primitives")
    channels = int(arrays["scale_blob_default_shape"][0])
    row = rows.scale("scale", "x", 0.01)
    assert len(row.array_names()) == int(arrays["scale_nblobs"])
    symbol = compose([rows.data("x", channels), row])["scale"]
    shapes, _, _ = symbol.infer_shape(x=(1, channels, 2, 3))
    assert dict(zip(symbol.list_arguments(), shapes))["scale_weight"] == tuple(arrays["scale_blob_default_shape"])
