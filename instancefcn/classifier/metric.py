"""The classifier's training metrics."""

from __future__ import annotations

from functools import partial

import mxnet as mx

from fullconv.instancefcn.classifier.symbols import IGNORE, LOSS_NAMES
from fullconv.lib.core.metric import MetricSet, Outputs, Sums, masked_accuracy

OUTPUT_NAMES = (*LOSS_NAMES, "cls", "seg_cls")
"""Names of the training symbol's outputs, in order."""


def _loss(arrays: Outputs, name: str) -> Sums:
    return arrays[name], mx.nd.ones((1,), ctx=arrays[name].context)


def _accuracy(arrays: Outputs, name: str, labels: str, least: int) -> Sums:
    label = arrays[labels].reshape((-1,))
    return masked_accuracy(arrays[name], label, (label != IGNORE) * (label >= least))


def classifier_metrics() -> MetricSet:
    """The losses, and the share of proposals that are classified right: by box, by segment, objects alone."""
    losses = {"ClsLoss": LOSS_NAMES[0], "SegClsLoss": LOSS_NAMES[1], "BoxLoss": LOSS_NAMES[2]}
    rules = {key: partial(_loss, name=name) for key, name in losses.items()}
    segments = partial(_accuracy, name="seg_cls", labels="seg_labels")
    return MetricSet(
        {
            **rules,
            "ClsAcc": partial(_accuracy, name="cls", labels="labels", least=0),
            "SegClsAcc": partial(segments, least=0),
            "SegClsAccFG": partial(segments, least=1),
        }
    )
