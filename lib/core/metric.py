"""Training metrics summed on the device and read once per log interval.

Reading a value waits for the device; the originals did it for every metric of every batch. Here an update only queues
two small sums, and `values()` waits once. In a distributed run all processes read at the same update, and sum.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Mapping, Tuple

import mxnet as mx
import numpy as np

from fullconv.lib.core.distributed import ALONE, World

Outputs = Mapping[str, mx.nd.NDArray]
Sums = Tuple[mx.nd.NDArray, mx.nd.NDArray]


class MetricSet:
    """Named running averages: each rule maps a batch's arrays to (sum, count), both of shape (1,).

    `values()` is sum / count over everything since `reset()`, as the originals average from the epoch's start; nan
    where nothing was counted. world: whose batches are counted; all its processes must ask at the same time.
    """

    world: World = ALONE

    def __init__(self, rules: Mapping[str, Callable[[Outputs], Sums]]) -> None:
        self.rules = dict(rules)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._sums: Dict[mx.Context, mx.nd.NDArray] = {}

    def update(self, arrays: Outputs) -> None:
        """Add one device's batch; returns before the device has computed it."""
        pairs = [rule(arrays) for rule in self.rules.values()]
        # One array for all metrics, so that reading them is one wait and one copy.
        stacked = mx.nd.stack(*[mx.nd.concat(total, count, dim=0) for total, count in pairs])
        ctx = stacked.context
        # A sum for each device: arrays of two devices cannot be added, and a copy would make one wait for the other.
        self._sums[ctx] = self._sums[ctx] + stacked if ctx in self._sums else stacked

    def _totals(self) -> np.ndarray:
        """(sum, count) per metric over all devices of all processes; waits for them."""
        totals = np.zeros((len(self.rules), 2))
        for sums in self._sums.values():
            totals += sums.asnumpy()
        self.world.sum(totals)
        return totals

    def values(self) -> Dict[str, float]:
        """Averages by name; waits for the devices."""
        return {
            name: float(total / count) if count > 0 else float("nan")
            for name, (total, count) in zip(self.rules, self._totals())
        }

    def diverged(self) -> List[str]:
        """Names whose sum is infinite or nan, which only a broken computation gives."""
        return [name for name, (total, _) in zip(self.rules, self._totals()) if not np.isfinite(total)]


class RecentMetricSet(MetricSet):
    """Averages over the batches since they were last read: with a reading per display, Caffe's `average_loss`.

    Read again before another batch came, they are what they were.
    """

    def reset(self) -> None:
        """Forget everything."""
        super().reset()
        self._read = np.zeros((len(self.rules), 2))
        self._values = dict.fromkeys(self.rules, float("nan"))

    def values(self) -> Dict[str, float]:
        """Averages by name since the last reading; waits for the devices."""
        totals = self._totals()
        for name, (total, count) in zip(self.rules, totals - self._read):
            if count > 0:
                self._values[name] = float(total / count)
        self._read = totals
        return dict(self._values)


def masked_accuracy(prob: mx.nd.NDArray, label: mx.nd.NDArray, keep: mx.nd.NDArray) -> Sums:
    """Hits and count of `argmax(prob, axis=1) == label` where keep is 1. prob (n, C, ...), label and keep (n, ...)."""
    hit = (mx.nd.argmax(prob, axis=1) == label) * keep
    return hit.sum(), keep.sum()


def masked_log_loss(prob: mx.nd.NDArray, label: mx.nd.NDArray, keep: mx.nd.NDArray, eps: float = 1e-14) -> Sums:
    """Sum of -log(prob[label] + eps) and count, where keep is 1. prob (n, C, ...), label and keep (n, ...)."""
    # Ignored labels are -1, which is no index; what stands in for them is times 0 below.
    picked = mx.nd.pick(prob, mx.nd.maximum(label, 0), axis=1)
    return -(mx.nd.log(picked + eps) * keep).sum(), keep.sum()
