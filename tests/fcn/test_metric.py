"""Training metrics against plain numpy."""

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcn.metric import SAMPLING, fcn_metrics, output_names
from fullconv.fcn.symbols import NETWORKS
from fullconv.lib.core.metric import RecentMetricSet


def batch(heads, seed):
    rng = np.random.RandomState(seed)
    arrays = {}
    for head in heads:
        arrays[head.loss] = rng.rand(1) * 100
        arrays[head.score] = rng.randn(1, head.classes, 13, 18)
        label = rng.randint(0, head.classes, (1, 1, 13, 18))
        arrays[head.label] = np.where(rng.rand(*label.shape) < 0.2, 255, label)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def accuracy(batches, head):
    every = (slice(None, None, SAMPLING),) * 2
    right = counted = 0
    for arrays in batches:
        truth = arrays[head.label][0, 0][every]
        right += (arrays[head.score][0].argmax(0)[every] == truth).sum()
        counted += (truth != 255).sum()
    return right / counted


@pytest.mark.parametrize("name", ["voc-fcn8s", "siftflow-fcn16s"])
def test_averages_are_over_what_came_since_the_last_reading(name):
    heads = NETWORKS[name].heads
    metrics = fcn_metrics(heads)
    for part in ((1, 2, 3), (4, 5)):
        batches = [batch(heads, seed) for seed in part]
        for arrays in batches:
            metrics.update({key: mx.nd.array(value) for key, value in arrays.items()})
        values = metrics.values()
        for head in heads:
            assert values[head.loss] == pytest.approx(np.mean([b[head.loss] for b in batches]), rel=1e-5)
            assert values[f"PixelAcc{head.suffix}"] == pytest.approx(accuracy(batches, head), rel=1e-5)
        assert metrics.values() == values and not metrics.diverged()


def test_reset_and_divergence():
    metrics = RecentMetricSet({"loss": lambda arrays: (arrays["loss"], mx.nd.ones(1))})
    assert np.isnan(metrics.values()["loss"])
    metrics.update({"loss": mx.nd.array([3])})
    assert metrics.values() == {"loss": 3}
    metrics.reset()
    metrics.update({"loss": mx.nd.array([np.inf])})
    assert metrics.diverged() == ["loss"] and not np.isfinite(metrics.values()["loss"])


def test_outputs_are_named_in_the_symbols_order():
    heads = NETWORKS["siftflow-fcn8s"].heads
    assert output_names(heads) == ("loss", "loss_geo", "score_sem", "score_geo")
