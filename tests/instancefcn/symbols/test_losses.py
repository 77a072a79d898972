"""instancefcn.symbols.losses: against numpy, and its gradients."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from fullconv.instancefcn.symbols.losses import IGNORE, losses
from fullconv.instancefcn.symbols.spec import LossSpec

NAMES = ("objectness", "labels", "masks", "targets")


def logistic(logits, labels):
    return np.where(labels == IGNORE, 0, np.logaddexp(0, logits) - logits * labels)


def example():
    """Two images with three windows: one off the map in part, one that is none, an image without any."""
    rng = np.random.RandomState(0)
    labels = rng.randint(-1, 2, (2, 1, 4, 5)).astype(float)
    targets = rng.randint(0, 2, (2, 3, 3, 3)).astype(float)
    targets[0, 0, 0], targets[0, 2], targets[1] = IGNORE, IGNORE, IGNORE
    return dict(zip(NAMES, (3 * rng.randn(*labels.shape), labels, 3 * rng.randn(*targets.shape), targets)))


def expected(given, norm):
    cells = logistic(given["masks"], given["targets"]).sum((2, 3))
    counts = (given["targets"] != IGNORE).sum((2, 3))
    found = logistic(given["objectness"], given["labels"]).sum((1, 2, 3))
    if norm == "sum":
        return found.mean(), cells.sum(1).mean()
    found /= np.maximum((given["labels"] != IGNORE).sum((1, 2, 3)), 1)
    shapes = (cells / np.maximum(counts, 1)).sum(1) / np.maximum((counts > 0).sum(1), 1)
    return found.mean(), shapes.mean()


@pytest.mark.parametrize("norm", ["mean", "sum"])
def test_values_and_gradients(norm):
    given, weights = example(), (2.0, 5.0)
    symbol = losses(*(mx.sym.Variable(name) for name in NAMES), LossSpec(norm, weights))
    executor = symbol.simple_bind(mx.cpu(), **{name: array.shape for name, array in given.items()})
    outputs = executor.forward(is_train=True, **{name: mx.nd.array(array) for name, array in given.items()})
    np.testing.assert_allclose([float(out.asscalar()) for out in outputs], expected(given, norm), rtol=1e-5)
    executor.backward()
    for which, name in enumerate(("objectness", "masks")):
        gradient, step = executor.grad_dict[name].asnumpy(), 1e-4
        for place in np.argwhere(np.ones(gradient.shape, bool))[::7]:
            place = tuple(place)
            ends = []
            for sign in (1, -1):
                moved = {**given, name: given[name].copy()}
                moved[name][place] += sign * step
                ends.append(expected(moved, norm)[which])
            slope = weights[which] * (ends[0] - ends[1]) / (2 * step)
            np.testing.assert_allclose(gradient[place], slope, rtol=1e-3, atol=1e-5)


def test_large_logits_do_not_overflow():
    given = {name: array * (1e4 if name in ("objectness", "masks") else 1) for name, array in example().items()}
    symbol = losses(*(mx.sym.Variable(name) for name in NAMES), LossSpec())
    executor = symbol.simple_bind(mx.cpu(), **{name: array.shape for name, array in given.items()})
    outputs = executor.forward(is_train=True, **{name: mx.nd.array(array) for name, array in given.items()})
    executor.backward()
    assert all(np.isfinite(array.asnumpy()).all() for array in (*outputs, executor.grad_dict["masks"]))
