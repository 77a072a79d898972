"""The training metrics of FCOS, by the original's names."""

from __future__ import annotations

from functools import partial
from typing import Dict

import mxnet as mx

from fullconv.fcos.symbols.losses import LOSS_NAMES
from fullconv.lib.core.metric import MetricSet, Outputs, Sums

OUTPUT_NAMES = LOSS_NAMES
"""Names of the training symbol's outputs, in order."""

GLOSSARY: Dict[str, str] = {
    "loss": "sum of the three",
    "loss_cls": "focal loss over all locations and classes, per positive location",
    "loss_reg": "IoU loss of the positive locations, weighted by their centerness",
    "loss_centerness": "cross entropy of the centerness; its targets are soft, so it stays near 0.57 even when learned",
}


def fcos_metrics(batches: int) -> MetricSet:
    """Averages over updates. batches: of one update of all workers; each has its share of the update's losses."""
    rules = {name: partial(_share, names=(name,), batches=batches) for name in LOSS_NAMES}
    return MetricSet({"loss": partial(_share, names=LOSS_NAMES, batches=batches), **rules})


def _share(arrays: Outputs, names: tuple, batches: int) -> Sums:
    total = sum(arrays[name] for name in names)
    return total, mx.nd.full((1,), 1 / batches, ctx=total.context)
