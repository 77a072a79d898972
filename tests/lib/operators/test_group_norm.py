"""Group normalisation inside MXNet graphs: names and shapes, gradients of every request type, and other operators."""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import mxnet as mx
import numpy as np
import pytest
from mxnet.test_utils import check_numeric_gradient

from fullconv.lib.operators.group_norm import group_norm

SHAPE, GROUPS = (2, 6, 4, 5), 3
X = mx.sym.Variable("data")
NAMES = ("data", "gn_gamma", "gn_beta")


def arrays(shape: Tuple[int, ...] = SHAPE, seed: int = 0) -> Dict[str, np.ndarray]:
    random = np.random.RandomState(seed)
    return dict(zip(NAMES, (random.randn(*shape), 1 + 0.3 * random.randn(shape[1]), random.randn(shape[1]))))


def layer(data: mx.sym.Symbol = X, **options: Any) -> mx.sym.Symbol:
    return group_norm(data, GROUPS, channels=SHAPE[1], name="gn", **options)


def run(symbol: mx.sym.Symbol, req: Any = "write", times: int = 1, **inputs: np.ndarray) -> Tuple[np.ndarray, Dict]:
    """The output and the gradients for a fixed head gradient, after `times` passes."""
    inputs = inputs or arrays()
    executor = symbol.simple_bind(mx.cpu(), grad_req=req, data=inputs["data"].shape)
    for _ in range(times):
        out = executor.forward(is_train=True, **{key: mx.nd.array(array) for key, array in inputs.items()})[0]
        executor.backward(mx.nd.array(np.random.RandomState(5).randn(*out.shape)))
    gradients = {key: None if grad is None else grad.asnumpy() for key, grad in executor.grad_dict.items()}
    return out.asnumpy(), gradients


def numpy_forward(data: np.ndarray, gamma: np.ndarray, beta: np.ndarray, groups: int) -> np.ndarray:
    rows = data.astype(np.float64).reshape(len(data), groups, -1)
    unit = (rows - rows.mean(2, keepdims=True)) / np.sqrt(rows.var(2, keepdims=True) + 1e-5)
    per_channel = (1, -1) + (1,) * (data.ndim - 2)
    return unit.reshape(data.shape) * gamma.reshape(per_channel) + beta.reshape(per_channel)


@pytest.mark.parametrize("shape", [(2, 6), (3, 6, 7), SHAPE, (1, 6, 2, 3, 4), (1, 6, 1, 1)])
def test_any_number_of_dimensions(shape: Tuple[int, ...]) -> None:
    data, gamma, beta = arrays(shape).values()
    found = group_norm(mx.nd.array(data), 3, gamma=mx.nd.array(gamma), beta=mx.nd.array(beta)).asnumpy()
    np.testing.assert_allclose(found, numpy_forward(data, gamma, beta, 3), rtol=0, atol=1e-5)


def test_parameters_are_made_and_shaped() -> None:
    """A training symbol knows the data's shape only; initialisers go by the parameters' names."""
    symbol = mx.sym.load_json(layer(mx.sym.Convolution(X, kernel=(1, 1), num_filter=6, name="conv")).tojson())
    assert symbol.list_arguments() == ["data", "conv_weight", "conv_bias", "gn_gamma", "gn_beta"]
    assert symbol.list_outputs() == ["gn_output"]
    shapes = dict(zip(symbol.list_arguments(), symbol.infer_shape(data=(1, 3, 8, 9))[0]))
    assert shapes["gn_gamma"] == shapes["gn_beta"] == (6,)
    assert symbol.infer_shape(data=(1, 3, 8, 9))[1] == [(1, 6, 8, 9)]
    executor = symbol.simple_bind(mx.cpu(), data=(1, 3, 8, 9))
    assert executor.grad_dict["gn_gamma"].shape == (6,)
    module = mx.mod.Module(symbol, label_names=None)
    module.bind([("data", (1, 3, 8, 9))])
    module.init_params(mx.init.Xavier())
    parameters = module.get_params()[0]
    assert (parameters["gn_gamma"].asnumpy() == 1).all() and (parameters["gn_beta"].asnumpy() == 0).all()


def test_missing_parameters_are_named() -> None:
    with pytest.raises(ValueError, match=r"group_norm \(name='gn', channels=None\): give gamma and beta"):
        group_norm(X, 2, name="gn")
    with pytest.raises(ValueError, match="give gamma and beta"):
        group_norm(X, 2, channels=4)
    with pytest.raises(ValueError, match="give gamma and beta"):
        group_norm(mx.nd.ones((1, 4, 2)), 2, channels=4, name="gn")


@pytest.mark.parametrize(
    "shape, channels, options, message",
    [
        ((1, 6, 4, 5), 6, {"num_groups": 4}, r"\(1,6,4,5\): its 6 channels are no multiple of num_groups=4"),
        ((1, 6, 4, 5), 6, {"num_groups": 0}, "attribute num_groups='0' must be at least 1"),
        ((1, 6, 4, 5), 6, {"num_groups": 2, "eps": 0}, "attribute eps='0' must be above 0"),
        ((1, 6, 4, 5), 6, {"num_groups": 2, "act": "tanh"}, "attribute act='tanh' is none of none, relu"),
        ((1, 6, 4, 5), 8, {"num_groups": 2}, r"input gamma has shape \(8\), expected \(6\)"),
        ((6,), 6, {"num_groups": 2}, r"input data has shape \(6\), expected \(N,C,...\)"),
    ],
)
def test_wrong_sizes_are_named(shape: tuple, channels: int, options: dict, message: str) -> None:
    parameters = {"gamma": mx.nd.ones((channels,)), "beta": mx.nd.ones((channels,))}
    with pytest.raises(mx.MXNetError, match="fullconv_group_norm: .*" + message):
        group_norm(mx.nd.ones(shape), **parameters, **options).wait_to_read()


@pytest.mark.parametrize("act", ["none", "relu"])
def test_finite_differences(act: str) -> None:
    inputs = arrays()
    inputs["gn_beta"] = np.array([3, -3, 3, 3, -3, 3])  # away from the ReLU's corner, mostly
    inputs["data"] = np.clip(inputs["data"], -1.5, 1.5)
    check_numeric_gradient(layer(act=act), inputs, numeric_eps=1e-2, rtol=1e-2, atol=2e-2)


@pytest.mark.parametrize("groups", [1, 3, 6])
def test_equals_mxnet(groups: int) -> None:
    """MXNet 1.9.1's GroupNorm, with scale 1 and shift 0: there those belong to groups, not to channels."""
    inputs = {**arrays(), "gn_gamma": np.ones(6), "gn_beta": np.zeros(6)}
    out, gradients = run(group_norm(X, groups, channels=6, name="gn"), **inputs)
    theirs = mx.sym.GroupNorm(X, num_groups=groups, eps=1e-5, name="gn")
    shape = theirs.infer_shape(data=SHAPE)[0][1]
    inputs = {"data": inputs["data"], "gn_gamma": np.ones(shape), "gn_beta": np.zeros(shape)}
    expected, expected_gradients = run(theirs, **inputs)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(gradients["data"], expected_gradients["data"], rtol=0, atol=1e-5)


def test_as_many_groups_as_channels_equals_instance_norm() -> None:
    out, gradients = run(group_norm(X, 6, channels=6, name="gn"))
    expected, expected_gradients = run(mx.sym.InstanceNorm(X, eps=1e-5, name="gn"))
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-5)
    for name in NAMES:
        np.testing.assert_allclose(gradients[name], expected_gradients[name], rtol=0, atol=1e-4)


def test_fused_relu_equals_composed() -> None:
    out, gradients = run(layer(act="relu"))
    expected, expected_gradients = run(mx.sym.relu(layer()))
    assert (out == 0).any() and (out > 0).any()
    np.testing.assert_array_equal(out, expected)
    for name in NAMES:
        np.testing.assert_array_equal(gradients[name], expected_gradients[name])


@pytest.mark.parametrize("name", NAMES)
def test_grad_req(name: str) -> None:
    """All inputs are variables: 'add' accumulates for each, 'null' leaves the others as they are."""
    once = run(layer())[1]
    twice, added, without = (
        run(layer(), {key: req if key == name else "write" for key in NAMES}, times=2)[1]
        for req in ("write", "add", "null")
    )
    for key in NAMES:
        assert np.abs(once[key]).sum() > 0
        np.testing.assert_array_equal(twice[key], once[key])
        factor = 2 if key == name else 1
        np.testing.assert_allclose(added[key], factor * once[key], rtol=1e-6)
        if key == name:
            assert without[key] is None
        else:
            np.testing.assert_array_equal(without[key], once[key])


def test_add_and_null_for_all() -> None:
    once = run(layer())[1]
    for key, gradient in run(layer(), "add", times=3)[1].items():
        np.testing.assert_allclose(gradient, 3 * once[key], rtol=1e-5, atol=1e-6)
    assert all(gradient is None for gradient in run(layer(), "null", times=1)[1].values())


@pytest.mark.parametrize("fan_out", [1, 2, 8, 12])
@pytest.mark.parametrize("inner", [False, True], ids=["variables", "inner tensors"])
def test_fan_out(inner: bool, fan_out: int) -> None:
    """Data and parameters shared by many layers."""
    inputs = [X, mx.sym.Variable("gn_gamma", shape=(6,)), mx.sym.Variable("gn_beta", shape=(6,))]
    data, gamma, beta = [x * 1 for x in inputs] if inner else inputs
    branches = [group_norm(data, GROUPS, gamma=gamma, beta=beta) * (i + 1) for i in range(fan_out)]
    once, found = run(layer())[1], run(mx.sym.add_n(*branches))[1]
    for name in NAMES:
        expected = once[name] * sum(range(1, fan_out + 1))
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_autograd_add() -> None:
    inputs = [mx.nd.array(array) for array in arrays().values()]
    for array in inputs:
        array.attach_grad(grad_req="add")
    for _ in range(2):
        with mx.autograd.record():
            out = group_norm(inputs[0], GROUPS, gamma=inputs[1], beta=inputs[2])
        out.backward(mx.nd.array(np.random.RandomState(5).randn(*out.shape)))
    once = run(layer())[1]
    for name, array in zip(NAMES, inputs):
        np.testing.assert_allclose(array.grad.asnumpy(), 2 * once[name], rtol=1e-5, atol=1e-6)


def module_gradients(contexts: list, data: np.ndarray) -> Tuple[np.ndarray, Dict[str, np.ndarray]]:
    """Output and parameter gradients, summed over contexts, of one batch."""
    module = mx.mod.Module(layer(act="relu"), label_names=None, context=contexts)
    module.bind([("data", data.shape)], for_training=True)
    given = {key: mx.nd.array(array) for key, array in arrays().items() if key != "data"}
    module.init_params(arg_params=given)
    module.forward(mx.io.DataBatch([mx.nd.array(data)]), is_train=True)
    module.backward([mx.nd.ones(data.shape)])
    group = module._exec_group
    sums = [sum(grad.asnumpy() for grad in per_context) for per_context in group.grad_arrays]
    return module.get_outputs()[0].asnumpy(), dict(zip(group.param_names, sums))


def test_two_contexts() -> None:
    data = np.random.RandomState(1).randn(4, *SHAPE[1:])
    out, gradients = module_gradients([mx.cpu(0)], data)
    split_out, split_gradients = module_gradients([mx.cpu(0), mx.cpu(1)], data)
    np.testing.assert_array_equal(split_out, out)
    assert set(gradients) == set(NAMES[1:])
    for name, gradient in gradients.items():
        np.testing.assert_allclose(split_gradients[name], gradient, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("is_train", [False, True])
def test_same_in_training_and_testing(is_train: bool) -> None:
    inputs = arrays()
    executor = layer().simple_bind(mx.cpu(), data=SHAPE)
    out: Optional[mx.nd.NDArray] = executor.forward(
        is_train=is_train, **{key: mx.nd.array(array) for key, array in inputs.items()}
    )[0]
    np.testing.assert_allclose(out.asnumpy(), numpy_forward(*inputs.values(), GROUPS), rtol=0, atol=1e-5)
