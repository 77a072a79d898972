"""Training metrics of FCN: each head's loss as Caffe prints it, and its pixel accuracy."""

from __future__ import annotations

from typing import Sequence, Tuple

import mxnet as mx

from fullconv.fcn.symbols import Head
from fullconv.lib.core.metric import Outputs, RecentMetricSet, Sums, masked_accuracy

SAMPLING = 4
"""Accuracy looks at every fourth pixel in both directions: as telling, and next to free."""


def output_names(heads: Sequence[Head]) -> Tuple[str, ...]:
    """Names given here to the training symbol's outputs, in order."""
    return (*(head.loss for head in heads), *(head.score for head in heads))


def fcn_metrics(heads: Sequence[Head], ignore_label: int = 255) -> RecentMetricSet:
    """Per head `loss` (in the units of TRAIN.normalization) and `PixelAcc`, averaged since the last log line."""
    rules = {}
    for head in heads:
        rules[head.loss] = _loss_rule(head)
        rules[f"PixelAcc{head.suffix}"] = _accuracy_rule(head, ignore_label)
    return RecentMetricSet(rules)


def _loss_rule(head: Head):
    def rule(arrays: Outputs) -> Sums:
        loss = arrays[head.loss]
        # A batch counts once, however many pixels it has: Caffe prints the mean over iterations.
        return loss, mx.nd.ones_like(loss)

    return rule


def _accuracy_rule(head: Head, ignore_label: int):
    def rule(arrays: Outputs) -> Sums:
        score = arrays[head.score][:, :, ::SAMPLING, ::SAMPLING]
        label = arrays[head.label][:, 0, ::SAMPLING, ::SAMPLING]
        return masked_accuracy(score, label, label != ignore_label)

    return rule
