"""Calls every operator once on a few numbers: `python -m fullconv.lib.operators.selftest [--gpu]`.

For init.sh and bug reports: it shows that the library loads, finds its operators and computes.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Callable, Dict

import mxnet as mx
import numpy as np

from fullconv.lib.operators.assembling import assemble
from fullconv.lib.operators.box_annotator_ohem import box_annotator_ohem
from fullconv.lib.operators.box_parser import box_parser
from fullconv.lib.operators.channel_operator import group_max, group_pick, group_softmax
from fullconv.lib.operators.deformable_conv import deformable_conv
from fullconv.lib.operators.fcis_head import fcis_head
from fullconv.lib.operators.fcos_target import fcos_target
from fullconv.lib.operators.group_norm import group_norm
from fullconv.lib.operators.iou_loss import iou_loss
from fullconv.lib.operators.library import registered
from fullconv.lib.operators.proposal import proposal
from fullconv.lib.operators.proposal_annotator import proposal_annotator
from fullconv.lib.operators.psroi_pooling import psroi_pooling
from fullconv.lib.operators.sigmoid_focal_loss import sigmoid_focal_loss

__all__ = ["CHECKS", "main"]


def _psroi_pooling() -> bool:
    data = mx.nd.arange(32).reshape((1, 2, 4, 4))
    # Bins of 2x2 pixels: their means, by reshaping.
    pooled = psroi_pooling(data, mx.nd.array([[0, 0, 0, 3, 3]]), 1.0, 2, 2, 1).asnumpy()
    return np.array_equal(pooled, data.asnumpy().reshape(1, 2, 2, 2, 2, 2).mean((3, 5)))


def _channel_operator() -> bool:
    data = mx.nd.arange(8).reshape((2, 4, 1, 1))
    best, picked = group_max(data, 2), group_pick(data, mx.nd.array([0, 1]), 2)
    halves = group_softmax(data, 2).reshape((4, 2)).sum(axis=1)
    found = [x.asnumpy().ravel().tolist() for x in (best, picked)]
    return found == [[1, 3, 5, 7], [0, 1, 6, 7]] and np.allclose(halves.asnumpy(), 1)


def _fcis_head() -> bool:
    maps, rois = mx.nd.arange(64).reshape((1, 4, 4, 4)), mx.nd.array([[0, 0, 0, 3, 3]])
    cls_prob, bbox_pred, seg_pred = fcis_head(maps, maps[:, :1], rois, 2, 1.0, 1, 2, 1)
    # Four maps of 0 to 15, 16 to 31, ...: class 1 has the larger ones, and 7.5 is the mean of the first.
    return cls_prob.argmax(axis=1).asscalar() == 1 and bbox_pred.asscalar() == 7.5 and seg_pred.shape == (1, 2, 2, 2)


def _proposal() -> bool:
    scores, deltas = mx.nd.ones((1, 2, 4, 4)), mx.nd.zeros((1, 4, 4, 4))
    im_info, seed = mx.nd.array([[64, 64, 1]]), mx.nd.zeros((1, 1))
    rois = proposal(
        scores, deltas, im_info, seed, scales=(2,), ratios=(1,), rpn_pre_nms_top_n=16, rpn_post_nms_top_n=20
    ).asnumpy()
    # Anchors of 32 pixels at 16 places make fewer than 20 boxes, so some are repeated; the image ends at pixel 63.
    return rois.shape == (20, 5) and rois.min() == 0 and rois.max() == 63


def _proposal_annotator() -> bool:
    rois, gt = mx.nd.array([[0, 0, 0, 9, 9], [0, 20, 20, 29, 29]]), mx.nd.array([[[0, 0, 9, 9, 3]]])
    masks, seed = mx.nd.ones((1, 1, 32, 32)), mx.nd.zeros((1, 1))
    _, label, target, _, mask = proposal_annotator(rois, gt, masks, seed, batch_rois=-1)
    whole = mask.asnumpy()[label.asnumpy() == 3] == 1
    # The roi on the object and the object itself, which joins the rois, have its class.
    return sorted(label.asnumpy().tolist()) == [0, 3, 3] and not target.asnumpy().any() and bool(whole.all())


def _box_annotator_ohem() -> bool:
    scores, labels = mx.nd.array([[0, 9], [0, 0], [9, 0]]), mx.nd.ones((3,))
    masks, boxes = mx.nd.zeros((3, 2, 2, 2)), mx.nd.zeros((3, 8))
    targets = -mx.nd.ones((3, 1, 2, 2))
    kept = box_annotator_ohem(scores, masks, boxes, labels, targets, boxes, boxes, roi_per_img=2)[0]
    # The first roi has the least loss: its score is high for its label.
    return kept.asnumpy().ravel().tolist() == [-1, 1, 1]


def _box_parser() -> bool:
    roi, unchanged = mx.nd.array([[0, 2, 3, 40, 50]]), mx.nd.zeros((1, 8))
    moved = box_parser(roi, unchanged, mx.nd.ones((1, 2)), mx.nd.array([[30, 30, 1]])).asnumpy()
    return np.allclose(moved, [[0, 2, 3, 29, 29]])


def _group_norm() -> bool:
    data, ones = mx.nd.array([[[0, 2], [4, 6], [7, 7], [7, 7]]]), mx.nd.ones((4,))
    # Group one has mean 3 and variance 5, so 0 and 2 are below the ReLU; the other is constant and leaves the offset.
    out = group_norm(data, 2, gamma=5 * ones, beta=ones, act="relu").asnumpy()
    return np.allclose(out[0], [[0, 0], [1 + 5**0.5, 1 + 45**0.5], [1, 1], [1, 1]], atol=1e-4)


def _sigmoid_focal_loss() -> bool:
    # At a logit of 0, alpha (1/2)^2 log 2 is log 2 / 16 and (1 - alpha) makes three of them; label -1 counts nothing.
    loss = sigmoid_focal_loss(mx.nd.zeros((1, 2, 2)), mx.nd.array([[1, -1]])).asnumpy()
    return np.allclose(loss[0] * 16 / np.log(2), [[1, 0], [3, 0]])


def _iou_loss() -> bool:
    # Equal boxes lose nothing. The other is half of its target, 4 of 8: IoU (4 + 1) / (8 + 1), times 9.
    pred, target = mx.nd.ones((2, 4)), mx.nd.array([[1, 1, 1, 1], [2, 1, 2, 1]])
    return np.allclose(iou_loss(pred, target, mx.nd.array([5, 9]), "linear_iou").asnumpy(), [0, 4])


def _fcos_target() -> bool:
    # The first location of stride 8 lies at (4, 4). The second row has class 0: padding.
    gt, level = mx.nd.array([[[0, 0, 24, 16, 7], [0, 0, 0, 0, 0]]]), mx.nd.zeros((1, 1, 2, 2))
    labels, distances, centerness = (x.asnumpy() for x in fcos_target(gt, [level], (8,), ()))
    near = np.array_equal(distances[0, 0], [4, 4, 20, 12]) and np.allclose(centerness[0, 0], (1 / 15) ** 0.5)
    return bool(near and (labels == 7).all())


def _deformable_conv() -> bool:
    data, offset, weight = (
        mx.nd.arange(12).reshape((1, 1, 3, 4)),
        mx.nd.ones((1, 2, 3, 4)) / 2,
        mx.nd.ones((1, 1, 1, 1)),
    )
    options = {"num_filter": 1, "kernel": (1, 1), "weight": weight, "no_bias": True}
    # Half a pixel down and right lies the mean of four pixels, 2.5 above the first; in the last corner a quarter of
    # the one that is there, 11. The mask doubles both.
    between = deformable_conv(data, offset, mx.nd.ones((1, 1, 3, 4)) * 2, **options).asnumpy()[0, 0]
    return np.array_equal(between[:2, :3], 2 * (data.asnumpy()[0, 0, :2, :3] + 2.5)) and between[2, 3] == 5.5


def _assemble() -> bool:
    # Maps of 0, 1, 2, 3 in turn: a window of 3 pixels has its middle in the second part, and its last row off the map.
    maps = mx.nd.arange(4).reshape((1, 4, 1, 1)) * mx.nd.ones((1, 4, 5, 5))
    window, valid = (x.asnumpy()[0] for x in assemble(maps, mx.nd.array([[0, 4, 2]]), 2, 3))
    return np.array_equal(window, [[0, 1, 1], [2, 3, 3], [0, 0, 0]]) and valid.sum() == 6


# Registered name -> a check that returns whether the numbers are right.
CHECKS: Dict[str, Callable[[], bool]] = {
    "fullconv_psroi_pooling": _psroi_pooling,
    "_contrib_ChannelOperator": _channel_operator,
    "fullconv_fcis_head": _fcis_head,
    "fullconv_proposal": _proposal,
    "fullconv_proposal_annotator": _proposal_annotator,
    "fullconv_box_annotator_ohem": _box_annotator_ohem,
    "fullconv_box_parser": _box_parser,
    "fullconv_group_norm": _group_norm,
    "fullconv_sigmoid_focal_loss": _sigmoid_focal_loss,
    "fullconv_iou_loss": _iou_loss,
    "fullconv_fcos_target": _fcos_target,
    "fullconv_deformable_conv": _deformable_conv,
    "fullconv_assemble": _assemble,
}


def main() -> int:
    """Prints a line per operator; 0 when all are right."""
    parser = argparse.ArgumentParser(
        prog="python -m fullconv.lib.operators.selftest", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--gpu", action="store_true", help="on GPU 0 instead of the CPU")
    context = mx.gpu(0) if parser.parse_args().gpu else mx.cpu()
    failures = 0
    for name in registered():
        start = time.time()
        try:
            with context:
                outcome = "ok" if CHECKS[name]() else "WRONG NUMBERS"
        except KeyError:
            outcome = "registered, no check"
        except mx.MXNetError as error:
            outcome = f"FAILED: {str(error).strip().splitlines()[-1]}"
        failures += outcome not in ("ok", "registered, no check")
        print(f"  {name:<32} {outcome} ({1000 * (time.time() - start):.0f} ms)")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
