"""The training metrics."""

from __future__ import annotations

from functools import partial
from typing import Dict

import mxnet as mx

from fullconv.instancefcn.symbols.losses import IGNORE, LOSS_NAMES
from fullconv.lib.core.metric import MetricSet, Outputs, Sums

OUTPUT_NAMES = (*LOSS_NAMES, "objectness", "assembled_masks")
"""Names of the training symbol's outputs, in order."""

GLOSSARY: Dict[str, str] = {
    "ObjectnessLoss": "cross entropy of the drawn windows: is there an object in the middle",
    "MaskLoss": "cross entropy of the cells of the windows around objects; images without one count 0",
    "ObjectnessAcc": "share of drawn windows that are decided right; there are more without an object",
    "ObjectnessAccFG": "the same of windows around an object only",
    "MaskAcc": "share of the cells of those windows that are decided right",
}


def _loss(arrays: Outputs, name: str) -> Sums:
    # As outputs losses do not carry their weight.
    return arrays[name], mx.nd.ones((1,), ctx=arrays[name].context)


def _hits(scores: mx.nd.NDArray, labels: mx.nd.NDArray, keep: mx.nd.NDArray) -> Sums:
    right = ((scores.reshape(labels.shape) > 0) == (labels == 1)) * keep
    return right.sum(), keep.sum()


def _windows(arrays: Outputs, least: int) -> Sums:
    labels = arrays["labels"]
    return _hits(arrays["objectness"], labels, labels >= least)


def _cells(arrays: Outputs) -> Sums:
    labels = arrays["masks"]
    return _hits(arrays["assembled_masks"], labels, labels != IGNORE)


def instancefcn_metrics() -> MetricSet:
    """The five."""
    return MetricSet(
        {
            "ObjectnessLoss": partial(_loss, name=LOSS_NAMES[0]),
            "MaskLoss": partial(_loss, name=LOSS_NAMES[1]),
            "ObjectnessAcc": partial(_windows, least=0),
            "ObjectnessAccFG": partial(_windows, least=1),
            "MaskAcc": _cells,
        }
    )
