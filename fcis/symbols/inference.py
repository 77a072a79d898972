"""The test graph of FCIS (Li et al., CVPR 2017, section 3.3 "Inference").

Dimension letters as in `fcis.symbols.heads`.
"""

from __future__ import annotations

from typing import Tuple

import mxnet as mx

from fullconv.fcis.symbols.heads import per_image, propose, rpn_probability
from fullconv.fcis.symbols.maps import GROUP, Maps, network_maps
from fullconv.fcis.symbols.spec import NetworkSpec, TestSpec
from fullconv.lib.operators.box_parser import box_parser
from fullconv.lib.operators.fcis_head import fcis_head, fcis_head_composed


def test_symbol(network: NetworkSpec, test: TestSpec) -> mx.sym.Symbol:
    """rois (T,5), cls_prob (1,T,C), bbox_pred (1,T,8), seg_pred (T,2,M,M), T = rois x rounds.

    With two rounds the head runs again on the refined boxes and both rounds are returned, first round first.
    """
    im_info = mx.sym.Variable("im_info")
    maps, stride = network_maps(network)
    rois = _proposals(maps, im_info, network, stride, test)
    rounds = [(rois, *_head(maps, rois, network, stride, test.fused))]
    for _ in range(1, test.rounds):
        # The maps are computed once; a round costs pooling alone.
        rois, cls_prob, bbox_pred, _ = rounds[-1]
        rois = box_parser(
            rois,
            bbox_pred,
            cls_prob,
            im_info,
            means=test.boxes.means,
            stds=test.boxes.stds,
            class_agnostic=network.num_reg_classes == 2,
        )
        rounds.append((rois, *_head(maps, rois, network, stride, test.fused)))
    rois, cls_prob, bbox_pred, seg_pred = (
        mx.sym.concat(*parts, dim=0) if len(rounds) > 1 else parts[0] for parts in zip(*rounds)
    )
    return mx.sym.Group(
        [
            # An output is called as the node that makes it, and with two rounds that is a concat.
            mx.sym.identity(rois, name="rois"),
            per_image(cls_prob, "cls_prob_reshape", (network.num_classes,), test.images),
            per_image(bbox_pred, "bbox_pred_reshape", (4 * network.num_reg_classes,), test.images),
            mx.sym.identity(seg_pred, name="seg_pred"),
        ]
    )


def proposal_symbol(network: NetworkSpec, test: TestSpec) -> mx.sym.Symbol:
    """What the region proposal network alone finds: rois (N * post_nms, 5), best first, repeated where too few."""
    maps, stride = network_maps(network)
    return mx.sym.identity(_proposals(maps, mx.sym.Variable("im_info"), network, stride, test), name="proposals")


def maps_symbol(network: NetworkSpec) -> mx.sym.Symbol:
    """Everything in front of the proposals: the RPN's probabilities (N, 2A, h, w) and deltas (N, 4A, h, w), and the two
    score maps (`fcis.symbols.maps.Maps`)."""
    maps, _ = network_maps(network)
    _, prob = rpn_probability(maps, network.num_anchors)
    return mx.sym.Group([prob, maps.rpn_bbox_pred, maps.cls_seg, maps.bbox])


def _proposals(maps: Maps, im_info: mx.sym.Symbol, network: NetworkSpec, stride: int, test: TestSpec) -> mx.sym.Symbol:
    _, prob = rpn_probability(maps, network.num_anchors)
    # The seed only matters where too few boxes are left and some are repeated: any fixed number will do.
    seed = mx.sym.zeros(shape=(test.images, 1))
    return propose(maps, prob, im_info, seed, network, stride, test.proposals)


def _head(
    maps: Maps, rois: mx.sym.Symbol, network: NetworkSpec, stride: int, fused: bool
) -> Tuple[mx.sym.Symbol, mx.sym.Symbol, mx.sym.Symbol]:
    """Class probabilities (T, C), box deltas (T, 4*regressed classes) and masks (T, 2, M, M) of the rois."""
    build = fcis_head if fused else fcis_head_composed
    cls_prob, bbox_pred, seg_pred = build(
        maps.cls_seg,
        maps.bbox,
        rois,
        spatial_scale=1.0 / stride,
        group_size=GROUP,
        pooled_size=network.mask_size,
        num_classes=network.num_classes,
        num_reg=4 * network.num_reg_classes,
    )
    return cls_prob, bbox_pred, seg_pred
