"""Adam against its paper."""

import mxnet as mx
import numpy as np

from fullconv.lib.core.optimizer import Adam


def test_adam_is_algorithm_1_of_the_paper():
    rng = np.random.RandomState(2)
    values = {name: rng.randn(3, 2).astype("float32") for name in ("a_weight", "a_bias")}
    ours = {name: mx.nd.array(value) for name, value in values.items()}
    adam = Adam(ours, 0.9, 0.01, {"a_bias": 2.0}, rescale_grad=0.5)
    assert set(adam.states) == {"a_weight", "a_bias", "a_weight:variance", "a_bias:variance"}
    mean, square = ({name: np.zeros((3, 2)) for name in values} for _ in range(2))
    for number in range(1, 6):
        grads = {name: rng.randn(3, 2).astype("float32") for name in values}
        adam.update(ours, {name: mx.nd.array(grad) for name, grad in grads.items()}, 0.1, number)
        for name in values:
            grad = 0.5 * grads[name] + (0.01 * values[name] if name == "a_weight" else 0)
            mean[name] = 0.9 * mean[name] + 0.1 * grad
            square[name] = 0.999 * square[name] + 0.001 * grad**2
            step = (mean[name] / (1 - 0.9**number)) / np.sqrt(square[name] / (1 - 0.999**number))
            values[name] = values[name] - 0.1 * (2 if name == "a_bias" else 1) * step
    for name in values:
        np.testing.assert_allclose(ours[name].asnumpy(), values[name], rtol=1e-4, atol=1e-5)
