"""Statistics measured for batch norms that have none: what is computed stays the same, at rest and in training."""

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.network.statistics import measured, unmeasured

EPS = 1e-5
SHAPE = (4, 3, 12, 10)


def network() -> mx.sym.Symbol:
    data = mx.sym.Variable("data")
    for name, filters in (("one", 6), ("two", 5)):
        data = mx.sym.Convolution(data, num_filter=filters, kernel=(3, 3), pad=(1, 1), no_bias=True, name=name)
        data = mx.sym.BatchNorm(data, fix_gamma=False, eps=EPS, name=f"{name}_norm")
        data = mx.sym.clip(data, 0, 6, name=f"{name}_relu6")
    return data


def folded(rng: np.random.RandomState) -> dict:
    """Arrays as a file without batch norms gives them: mean 0 and a variance that scales nothing."""
    arrays = {}
    for name, inputs, filters in (("one", 3, 6), ("two", 6, 5)):
        arrays[f"{name}_weight"] = rng.normal(0, 0.5, (filters, inputs, 3, 3))
        arrays[f"{name}_norm_gamma"] = np.ones(filters)
        arrays[f"{name}_norm_beta"] = rng.normal(0, 1, filters)
        arrays[f"{name}_norm_moving_mean"] = np.zeros(filters)
        arrays[f"{name}_norm_moving_var"] = np.full(filters, 1 - EPS)
    return {name: mx.nd.array(array) for name, array in arrays.items()}


def run(arrays: dict, data: np.ndarray, is_train: bool) -> np.ndarray:
    symbol = network()
    args = {name: arrays[name] for name in symbol.list_arguments() if name != "data"}
    aux = {name: arrays[name].copy() for name in symbol.list_auxiliary_states()}
    args["data"] = mx.nd.array(data)
    # With nothing to differentiate MXNet would take the graph for one at rest, whatever `is_train` says.
    grads = {name: mx.nd.zeros_like(array) for name, array in args.items()}
    executor = symbol.bind(mx.cpu(), args, args_grad=grads, aux_states=aux)
    return executor.forward(is_train=is_train)[0].asnumpy()


@pytest.fixture
def rng() -> np.random.RandomState:
    return np.random.RandomState(3)


def test_the_network_computes_the_same(rng):
    arrays, data = folded(rng), rng.normal(0, 30, SHAPE)
    after = measured(network(), arrays, [{"data": data}])
    np.testing.assert_allclose(run(after, data, False), run(arrays, data, False), atol=1e-4)


def test_training_starts_from_what_it_computes(rng):
    """The batch's own statistics are the measured ones, so that training mode gives what the file meant."""
    arrays, data = folded(rng), rng.normal(0, 30, SHAPE)
    wanted = run(arrays, data, False)
    after = measured(network(), arrays, [{"data": data}])
    np.testing.assert_allclose(run(after, data, True), wanted, atol=1e-3)
    assert np.abs(run(arrays, data, True) - wanted).max() > 0.5


def test_statistics_are_those_of_all_batches(rng):
    arrays, data = folded(rng), rng.normal(2, 30, (6, 3, 12, 10))
    whole = measured(network(), arrays, [{"data": data}])
    parts = measured(network(), arrays, [{"data": data[:3]}, {"data": data[3:]}])
    for name in whole:
        np.testing.assert_allclose(parts[name].asnumpy(), whole[name].asnumpy(), rtol=1e-4, atol=1e-3)


def test_only_norms_without_statistics_want_them(rng):
    arrays = folded(rng)
    assert unmeasured(network(), arrays)
    arrays["two_norm_moving_mean"][:] = 0.5
    assert not unmeasured(network(), arrays)
    assert not unmeasured(mx.sym.Variable("data"), {})


def test_nothing_to_measure_on(rng):
    with pytest.raises(ValueError, match="no batch"):
        measured(network(), folded(rng), [])
