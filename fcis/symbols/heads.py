"""From maps to rois and from rois to scores, boxes and masks: what training and test have in common.

Dimension letters: N images, A anchors per cell, h,w feature size, R rois, C classes with background, M mask size.
"""

from __future__ import annotations

from typing import Tuple

import mxnet as mx

from fullconv.fcis.symbols.maps import GROUP, Maps
from fullconv.fcis.symbols.spec import NetworkSpec, ProposalSpec
from fullconv.lib.operators.proposal import proposal
from fullconv.lib.operators.psroi_pooling import psroi_pooling


def rpn_probability(maps: Maps, num_anchors: int) -> Tuple[mx.sym.Symbol, mx.sym.Symbol]:
    """RPN scores as (N, 2, A*h, w) for the loss and their softmax as (N, 2A, h, w) for the proposals."""
    # Channels are the background of all anchors, then their objects: in two axes, the softmax is between the two of
    # one.
    scores = mx.sym.Reshape(maps.rpn_cls_score, shape=(0, 2, -1, 0), name="rpn_cls_score_reshape")
    # A softmax of its own beside the loss's, which needs labels that testing does not have.
    prob = mx.sym.SoftmaxActivation(scores, mode="channel", name="rpn_cls_act")
    return scores, mx.sym.Reshape(prob, shape=(0, 2 * num_anchors, -1, 0), name="rpn_cls_act_reshape")


def propose(
    maps: Maps,
    prob: mx.sym.Symbol,
    im_info: mx.sym.Symbol,
    seed: mx.sym.Symbol,
    network: NetworkSpec,
    stride: int,
    limits: ProposalSpec,
) -> mx.sym.Symbol:
    """Rois (N*post_nms, 5) from the RPN's probabilities (N, 2A, h, w).

    By one of the original's two rules. That of its Python operator (CXX_PROPOSAL false, as published) is
    `lib.operators.proposal`. With `limits.builtin` it is MXNet's contrib.Proposal: the least side times the image's
    scale, boxes repeated in turn instead of at random where too few are left, anchors of `stride` pixels times the
    scales. MultiProposal computes the same for several images.
    """
    if limits.builtin:
        return mx.sym.contrib.MultiProposal(
            mx.sym.BlockGrad(prob),
            mx.sym.BlockGrad(maps.rpn_bbox_pred),
            im_info,
            feature_stride=stride,
            scales=network.scales,
            ratios=network.ratios,
            rpn_pre_nms_top_n=limits.pre_nms,
            rpn_post_nms_top_n=limits.post_nms,
            threshold=limits.threshold,
            rpn_min_size=int(limits.min_size),
            name="rois",
        )
    return proposal(
        prob,
        maps.rpn_bbox_pred,
        im_info,
        seed,
        feature_stride=stride,
        scales=network.scales,
        ratios=network.ratios,
        rpn_pre_nms_top_n=limits.pre_nms,
        rpn_post_nms_top_n=limits.post_nms,
        threshold=limits.threshold,
        rpn_min_size=limits.min_size,
        name="rois",
    )


def pool(
    maps: mx.sym.Symbol, rois: mx.sym.Symbol, network: NetworkSpec, stride: int, dims: int, name: str
) -> mx.sym.Symbol:
    """Position-sensitive RoI pooling to (R, dims, M, M)."""
    return psroi_pooling(
        maps,
        rois,
        spatial_scale=1.0 / stride,
        output_dim=dims,
        group_size=GROUP,
        pooled_size=network.mask_size,
        name=name,
    )


def average(pooled: mx.sym.Symbol, dims: int, name: str) -> mx.sym.Symbol:
    """Mean over the roi: (R, dims, M, M) -> (R, dims)."""
    # A mean over axes: the same numbers as global average pooling, whose backward pass is ten times slower here.
    mean = mx.sym.mean(pooled, axis=(2, 3))
    return mx.sym.Reshape(mean, shape=(-1, dims), name=name)


def per_image(data: mx.sym.Symbol, name: str, tail: Tuple[int, ...], images: int) -> mx.sym.Symbol:
    """(N*R, *tail) -> (N, R, *tail)."""
    return mx.sym.Reshape(data, shape=(images, -1) + tail, name=name)
