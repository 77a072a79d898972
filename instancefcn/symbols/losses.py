"""The two losses (Dai et al., ECCV 2016, section 3.2): is there an object, and which cells of the window are it.

Letters: N images, C crops of an image or 1, P windows with a mask, m cells of a mask's side.
"""

from __future__ import annotations

import mxnet as mx

from fullconv.instancefcn.symbols.spec import MEAN, LossSpec

LOSS_NAMES = ("objectness_loss", "mask_loss")
IGNORE = -1
"""Label of what counts for nothing: windows that were not drawn, cells outside of the map."""


def losses(
    objectness: mx.sym.Symbol,
    labels: mx.sym.Symbol,
    masks: mx.sym.Symbol,
    targets: mx.sym.Symbol,
    spec: LossSpec,
) -> mx.sym.Symbol:
    """Two outputs (1,), each its own gradient: LOSS_NAMES. Images weigh alike, whatever is in them.

    objectness, labels (N, C, h, w): logits, and 1, 0 or IGNORE. masks, targets (N, P, m, m) likewise.
    """
    found = _per_image(objectness, labels, spec.norm)
    # A window without a cell to compare is none: it is no part of the mean over windows.
    cells, counted = _cross_entropy(masks, targets)
    cells, counts = (mx.sym.sum(symbol, axis=(2, 3)) for symbol in (cells, counted))
    drawn = counts > 0
    if spec.norm == MEAN:
        cells = cells / mx.sym.broadcast_maximum(counts, mx.sym.ones((1, 1)))
        shapes = mx.sym.sum(cells, axis=1) / mx.sym.broadcast_maximum(mx.sym.sum(drawn, axis=1), mx.sym.ones((1,)))
    else:
        shapes = mx.sym.sum(cells, axis=1)
    # As many ones as images: only the shape at run time says how many there are.
    number = mx.sym.sum(mx.sym.slice_axis(mx.sym.ones_like(mx.sym.flatten(labels)), axis=1, begin=0, end=1))
    sums = [mx.sym.sum(loss) / mx.sym.BlockGrad(number) for loss in (found, shapes)]
    return mx.sym.Group(
        [
            mx.sym.MakeLoss(mx.sym.Reshape(loss, shape=(1,)), grad_scale=weight, name=name)
            for name, loss, weight in zip(LOSS_NAMES, sums, spec.weights)
        ]
    )


def _per_image(logits: mx.sym.Symbol, labels: mx.sym.Symbol, norm: str) -> mx.sym.Symbol:
    """(N,) mean or sum over the places of an image that have a label."""
    loss, counted = (mx.sym.sum(symbol, axis=(1, 2, 3)) for symbol in _cross_entropy(logits, labels))
    return loss / mx.sym.broadcast_maximum(counted, mx.sym.ones((1,))) if norm == MEAN else loss


def _cross_entropy(logits: mx.sym.Symbol, labels: mx.sym.Symbol) -> tuple:
    """Logistic loss of each element, 0 where its label is IGNORE, and whether it counts; in a form that cannot
    overflow."""
    labels = mx.sym.BlockGrad(labels)
    counted = labels != IGNORE
    softplus = mx.sym.Activation(-mx.sym.abs(logits), act_type="softrelu")
    return (mx.sym.relu(logits) - logits * labels + softplus) * counted, counted
