"""Deformable convolution inside MXNet graphs: names and shapes, every request type, and MXNet's own operators."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.operators.deformable_conv import deformable_conv

SHAPE, FILTERS = (2, 4, 6, 5), 6
NAMES = ("data", "offset", "mask", "dcn_weight", "dcn_bias")
SHAPES = dict(zip(NAMES, (SHAPE, (2, 18, 6, 5), (2, 9, 6, 5), (FILTERS, 4, 3, 3), (FILTERS,))))
OPTIONS: Dict[str, Any] = {"num_filter": FILTERS, "kernel": (3, 3), "pad": (1, 1)}


def arrays(seed: int = 0) -> Dict[str, np.ndarray]:
    random = np.random.RandomState(seed)
    found = {name: random.randn(*shape) for name, shape in SHAPES.items()}
    found["offset"] = random.randint(-2, 2, SHAPES["offset"]) + random.uniform(0.1, 0.9, SHAPES["offset"])
    return found


def variables(inner: bool = False) -> Tuple[mx.sym.Symbol, ...]:
    found = [mx.sym.Variable(name, shape=shape) for name, shape in SHAPES.items()]
    return tuple(x * 1 for x in found) if inner else tuple(found)


def layer(data: mx.sym.Symbol, offset: mx.sym.Symbol, mask: mx.sym.Symbol, *parameters: mx.sym.Symbol) -> mx.sym.Symbol:
    given = dict(zip(("weight", "bias"), parameters))
    return deformable_conv(data, offset, mask, channels=SHAPE[1], name=None if given else "dcn", **given, **OPTIONS)


def run(symbol: mx.sym.Symbol, req: Any = "write", times: int = 1) -> Tuple[np.ndarray, Dict[str, Any]]:
    """The output and the gradients for a fixed head gradient, after `times` passes."""
    inputs = {key: array for key, array in arrays().items() if key in symbol.list_arguments()}
    executor = symbol.simple_bind(mx.cpu(), grad_req=req, **{key: array.shape for key, array in inputs.items()})
    for _ in range(times):
        out = executor.forward(is_train=True, **{key: mx.nd.array(array) for key, array in inputs.items()})[0]
        executor.backward(mx.nd.array(np.random.RandomState(5).randn(*out.shape)))
    gradients = {key: None if grad is None else grad.asnumpy() for key, grad in executor.grad_dict.items()}
    return out.asnumpy(), gradients


def test_parameters_are_made_and_shaped() -> None:
    """Under the names that a convolution's have; none for the bias where there is none."""
    data, offset, mask = variables()[:3]
    symbol = mx.sym.load_json(layer(data, offset, mask).tojson())
    assert symbol.list_arguments() == list(NAMES) and symbol.list_outputs() == ["dcn_output"]
    shapes = dict(zip(NAMES, symbol.infer_shape(data=SHAPE)[0]))
    assert shapes == SHAPES and symbol.infer_shape(data=SHAPE)[1] == [(2, FILTERS, 6, 5)]
    plain = deformable_conv(data, offset, channels=4, name="dcn", no_bias=True, num_group=2, **OPTIONS)
    assert plain.list_arguments() == ["data", "offset", "dcn_weight"]
    assert dict(zip(plain.list_arguments(), plain.infer_shape()[0]))["dcn_weight"] == (FILTERS, 2, 3, 3)


def test_missing_parameters_are_named() -> None:
    data, offset, mask = variables()[:3]
    with pytest.raises(ValueError, match=r"deformable_conv \(name='dcn', channels=None\): give weight and bias"):
        deformable_conv(data, offset, mask, name="dcn", **OPTIONS)
    with pytest.raises(ValueError, match="give weight and bias"):
        deformable_conv(mx.nd.ones(SHAPE), mx.nd.zeros(SHAPES["offset"]), channels=4, name="dcn", **OPTIONS)


def test_errors_name_operator_and_value() -> None:
    inputs = [mx.nd.zeros(SHAPES[name]) for name in NAMES]
    with pytest.raises(mx.MXNetError, match=r"fullconv_deformable_conv: input offset has shape \(2,18,6,5\), expected"):
        deformable_conv(*inputs[:3], weight=inputs[3], bias=inputs[4], **{**OPTIONS, "pad": (0, 0)}).wait_to_read()


def test_without_offsets_it_is_a_convolution() -> None:
    """Output and all gradients, with offsets 0 and mask 1."""
    data, offset, mask, weight, bias = variables()
    ours = deformable_conv(data, offset * 0, mask * 0 + 1, weight=weight, bias=bias, **OPTIONS)
    theirs = mx.sym.Convolution(data, weight, bias, **OPTIONS)
    (out, gradients), (expected, others) = run(ours), run(theirs)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)
    for name, gradient in others.items():
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("deformable_groups", [1, 2])
def test_equals_mxnet_modulated(deformable_groups: int) -> None:
    """Forward only: MXNet 1.9.1 has no gradient of it on the CPU, and other borders in the plain operator."""
    inputs = {name: mx.nd.array(array) for name, array in arrays().items()}
    offset, mask = (mx.nd.concat(*[inputs[key]] * deformable_groups, dim=1) for key in ("offset", "mask"))
    weight, bias = inputs["dcn_weight"], inputs["dcn_bias"]
    options = {**OPTIONS, "num_deformable_group": deformable_groups}
    ours = deformable_conv(inputs["data"], offset, mask, weight=weight, bias=bias, **options)
    theirs = mx.nd.contrib.ModulatedDeformableConvolution(inputs["data"], offset, mask, weight, bias, **options)
    np.testing.assert_allclose(ours.asnumpy(), theirs.asnumpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_grad_req(name: str) -> None:
    """All inputs are variables: 'add' accumulates for each, 'null' leaves the others as they are."""
    symbol = layer(*variables())
    once = run(symbol)[1]
    twice, added, without = (
        run(symbol, {key: req if key == name else "write" for key in NAMES}, times=2)[1]
        for req in ("write", "add", "null")
    )
    for key in NAMES:
        assert np.abs(once[key]).sum() > 0
        np.testing.assert_array_equal(twice[key], once[key])
        np.testing.assert_allclose(added[key], (2 if key == name else 1) * once[key], rtol=1e-5, atol=1e-5)
        if key == name:
            assert without[key] is None
        else:
            np.testing.assert_array_equal(without[key], once[key])


@pytest.mark.parametrize("fan_out", [2, 9])
@pytest.mark.parametrize("inner", [False, True], ids=["variables", "inner tensors"])
def test_fan_out(inner: bool, fan_out: int) -> None:
    """Inputs and parameters shared by many layers, as FCOS shares its towers over levels."""
    shared = variables(inner)
    once, found = run(layer(*variables()))[1], run(mx.sym.add_n(*[layer(*shared) * (i + 1) for i in range(fan_out)]))[1]
    for name in NAMES:
        expected = once[name] * sum(range(1, fan_out + 1))
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
