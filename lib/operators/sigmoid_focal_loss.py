"""Focal loss on sigmoids (Lin et al., ICCV 2017): the classification loss of RetinaNet and FCOS."""

from __future__ import annotations

from typing import Optional

from fullconv.lib.operators.library import Array, invoke

__all__ = ["sigmoid_focal_loss"]


def sigmoid_focal_loss(
    logits: Array, labels: Array, alpha: float = 0.25, gamma: float = 2.0, name: Optional[str] = None
) -> Array:
    """(N, C, ...) loss of every class at every place, not summed; the gradient goes to the logits only.

    logits (N, C, ...) before the sigmoid. labels (N, ...), float32: 0 the background, 1 .. C the classes (channel
    label - 1), below 0 (or NaN) a place that is ignored: loss and gradient 0.

    For the label's class -alpha (1-p)^gamma log p, for the others -(1-alpha) p^gamma log(1-p), p = sigmoid(logit), in
    the form of FCOS's CUDA kernel, which is exact for any finite logit: log p of the label's class stops at
    log(FLT_MIN) there, and so here. FCOS's loss is sum(this) / number of positives: divide in the graph, and gradients
    are scaled alike. Raises MXNetError, naming operator and value, for an alpha outside [0, 1], a negative gamma or
    labels that do not fit.
    """
    return invoke("fullconv_sigmoid_focal_loss", logits, labels, name=name, alpha=alpha, gamma=gamma)
