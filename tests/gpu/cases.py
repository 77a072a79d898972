"""One table for all operators: what to call, and how far a GPU's numbers may be from the CPU's.

ENTRIES are the C entry points (`<name>_cpu`, `<name>_cuda`): arguments in order, the stream left out. OPERATORS are the
registered operators for the mini host. To add an operator, add a line to each.
"""

from __future__ import annotations

import ctypes
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

RANDOM = np.random.RandomState(42)


class Out(NamedTuple):
    """An output array of this shape."""

    shape: Tuple[int, ...]


class Host(NamedTuple):
    """An array that stays in main memory on a GPU, too."""

    array: np.ndarray


class Double(NamedTuple):
    """A C double; plain Python floats are C floats."""

    value: float


class Scratch(NamedTuple):
    """Workspace of as many bytes as this function returns for these arguments."""

    function: str
    arguments: Tuple[Any, ...]


class Entry(NamedTuple):
    arguments: List[Any]
    atol: float = 0.0  # 0: equal to the last bit


class Operator(NamedTuple):
    inputs: List[np.ndarray]
    attributes: Dict[str, Any]
    atol: float = 0.0
    backward: bool = True


def normal(*shape: int) -> np.ndarray:
    return RANDOM.randn(*shape).astype(np.float32)


def boxes(count: int, size: float = 160.0, images: int = 0) -> np.ndarray:
    """(count, 4), or (count, 5) with an image index in front."""
    centre, extent = RANDOM.uniform(0, size, (count, 2)), RANDOM.uniform(8, size / 2, (count, 2))
    corners = np.clip(np.concatenate([centre - extent / 2, centre + extent / 2], 1), 0, size - 1)
    index = [RANDOM.randint(0, images, (count, 1))] if images else []
    return np.concatenate([*index, corners], 1).astype(np.float32)


def scored(count: int) -> np.ndarray:
    return np.concatenate([boxes(count), RANDOM.permutation(count)[:, None] / count], 1).astype(np.float32)


def spoiled(rois: np.ndarray) -> np.ndarray:
    """Some rois that no operator can use, and must survive."""
    rois = rois.copy()
    rois[:5] = [
        [9, 0, 0, 9, 9],
        [-1, 0, 0, 9, 9],
        [0, np.nan, 0, 9, 9],
        [0, -np.inf, 0, np.inf, 9],
        [0, 1e30, 0, -1e30, 9],
    ]
    return rois


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    power = np.exp(x - x.max(axis, keepdims=True))
    return (power / power.sum(axis, keepdims=True)).astype(np.float32)


# Sizes shared below. Images, classes, box coordinates, group, pooled, map height and width, rois.
N, C, B, G, P, H, W, R = 2, 5, 8, 3, 9, 11, 13, 40
CLS_SEG, BBOX, ROIS = normal(N, 2 * C * G * G, H, W), normal(N, B * G * G, H, W), spoiled(boxes(R, images=N))
POOL = (N, 2 * C, G, P, H, W, R)
POOL_OUT = (R, 2 * C, P, P)
GROUPED, LABELS = normal(R, C, 2, P * P), RANDOM.randint(-2, C + 2, R).astype(np.float32)
A, M, GT, IMAGE = 9, 21, 3, 160
CLS_PROB, DELTAS = softmax(normal(N, 2, A * 10 * 10), 1).reshape(N, 2 * A, 10, 10), 0.3 * normal(N, 4 * A, 10, 10)
IM_INFO = np.array([[IMAGE, IMAGE, 1.0]] * N, np.float32)
SEEDS = np.array([[3], [4]], np.float32)
SCALES, RATIOS = (2.0, 4.0, 8.0), (0.5, 1.0, 2.0)
GT_BOXES = np.concatenate([boxes(N * GT), RANDOM.randint(0, C, (N * GT, 1))], 1).astype(np.float32).reshape(N, GT, 5)
GT_MASKS = (RANDOM.uniform(size=(N, GT, IMAGE, IMAGE)) < 0.6).astype(np.float32)
CANDIDATES = np.concatenate([np.repeat(np.arange(N), 30)[:, None], boxes(N * 30)], 1).astype(np.float32)
NUMBERS = np.array([0, 0, 0, 0, 0.2, 0.2, 0.5, 0.5, 1, 1, 1, 1], np.float64)
DETS, SCORES, MASKS = scored(300), softmax(2 * normal(60, C), 1), RANDOM.uniform(size=(60, 1, M, M)).astype(np.float32)
TARGETS = RANDOM.randint(-1, 2, (R, 1, M, M)).astype(np.float32)
OHEM = [normal(R, C), normal(R, 2, M, M), normal(R, B), RANDOM.randint(-1, C, R).astype(np.float32)]
OHEM += [TARGETS, normal(R, B), (normal(R, B) > 0).astype(np.float32)]
DECODE = [spoiled(boxes(R, images=N)), 0.3 * normal(R, B), softmax(normal(R, C), 1), IM_INFO]

POOL_SCRATCH = ("fullconv_psroi_pooling_workspace", POOL[1:])
HEAD_SIZES = (C, B, G, P, H, W, R)
HEAD = [CLS_SEG, BBOX, ROIS, Out((R, C)), Out((R, B)), Out((R, 2, P, P)), N, *HEAD_SIZES, 0.0625]
HEAD.append(Scratch("fullconv_fcis_head_workspace", HEAD_SIZES))
GROUP_NORM = [100 + normal(N, 12, H, W), normal(12), normal(12)]
GROUP_NORM_SIZES = (N, 12, 3, H * W, Double(1e-5), 1, Scratch("fullconv_group_norm_workspace", (N, 12, 3)))
FOCAL = [normal(N, C, H * W), RANDOM.randint(-1, C + 1, (N, H * W)).astype(np.float32)]
FOCAL_SIZES = (N, C, H * W, Double(0.25), Double(2))
DISTANCES = [np.abs(normal(R, 4)), np.abs(normal(R, 4)), np.abs(normal(R))]
# Of two levels: height, width, stride, least and greatest distance, reach.
LEVELS = np.array([[20, 20, 8, -1, 64, 12], [10, 10, 16, 64, 1e8, 24]], np.float32)
LOCATIONS = 500
# Two groups, three deformable groups, 7 filters a group, strides of 2 and 1.
CONV_SIZES = (N, 12, H, W, 14, 2, 3, 3, 3, 2, 1, 1, 1, 1, 1, (H + 1) // 2, W)
CONV_OUT = (N, 14, (H + 1) // 2, W)
CONV_MAPS = [2 * normal(N, 54, *CONV_OUT[2:]), softmax(normal(N, 27, *CONV_OUT[2:]), 1)]
CONV = [normal(N, 12, H, W), *CONV_MAPS, normal(14, 6, 3, 3), normal(14)]
CONV_SCRATCH = Scratch("fullconv_deformable_conv_workspace", ((ctypes.c_int32 * 17)(*CONV_SIZES),))
CONV_SHAPE = Host(np.array(CONV_SIZES, np.int32))
# Windows that leave the maps, and one of no image.
SCORE_MAPS = normal(N, 25, H, W)
WINDOWS = np.concatenate([RANDOM.randint(0, N, (R, 1)), RANDOM.randint(-3, 15, (R, 2))], 1).astype(np.float32)
WINDOWS[3, 0] = -1
WINDOW_SIZES = (N, 5, M, 0, H, W, R)

ENTRIES: Dict[str, Entry] = {
    "fullconv_psroi_pooling_fwd": Entry(
        [CLS_SEG, ROIS, Out(POOL_OUT), *POOL, 0.0625, Scratch(POOL_SCRATCH[0], (*POOL_SCRATCH[1], 0))]
    ),
    "fullconv_psroi_pooling_bwd": Entry(  # the order of atomic additions varies
        [normal(*POOL_OUT), ROIS, Out(CLS_SEG.shape), *POOL, 0.0625, Scratch(POOL_SCRATCH[0], (*POOL_SCRATCH[1], 1))],
        1e-4,
    ),
    "fullconv_group_max_fwd": Entry([GROUPED, Out((R, C, P * P)), *GROUPED.shape]),
    "fullconv_group_max_bwd": Entry([normal(R, C, P * P), GROUPED, Out(GROUPED.shape), *GROUPED.shape]),
    "fullconv_group_pick_fwd": Entry([GROUPED, LABELS, Out((R, 2, P * P)), *GROUPED.shape, 0]),
    "fullconv_group_pick_bwd": Entry([normal(R, 2, P * P), normal(R, C), Out(GROUPED.shape), *GROUPED.shape, 1]),
    "fullconv_group_softmax_fwd": Entry([GROUPED, Out(GROUPED.shape), *GROUPED.shape]),
    "fullconv_group_softmax_bwd": Entry(
        [normal(*GROUPED.shape), softmax(GROUPED, 2), Out(GROUPED.shape), *GROUPED.shape]
    ),
    "fullconv_fcis_head": Entry(HEAD),
    "fullconv_nms_fwd": Entry(
        [DETS, Out((100,)), Out((1,)), len(DETS), 100, Double(0.5), Scratch("fullconv_nms_workspace", (len(DETS), 100))]
    ),
    "fullconv_ohem_fwd": Entry(
        [*OHEM, Out((R,)), Out(TARGETS.shape), Out((R, B)), R, 1, C, M * M, B, 16]
        + [Double(1), Double(10), Double(1), Scratch("fullconv_ohem_workspace", (R, 1))]
    ),
    "fullconv_box_parser_fwd": Entry([*DECODE, Out((R, 5)), R, B, C, N, Host(NUMBERS[:8].astype(np.float32)), 1], 1e-4),
    "fullconv_mask_voting_fwd": Entry(
        [MASKS, boxes(60), SCORES, Out((200, 6)), Out((200, 1, M, M)), Out((1,)), 60, C, M, 50, IMAGE, IMAGE, 200]
        + [Double(0.3), Double(0.5), Double(0.4), Scratch("fullconv_mask_voting_workspace", (60, C, 50, 200))],
        1e-5,
    ),
    "fullconv_group_norm_fwd": Entry([*GROUP_NORM, Out((N, 12, H, W)), *GROUP_NORM_SIZES], 1e-5),
    "fullconv_group_norm_bwd": Entry(
        [normal(N, 12, H, W), *GROUP_NORM, Out((N, 12, H, W)), Out((12,)), Out((12,)), *GROUP_NORM_SIZES], 1e-4
    ),
    "fullconv_sigmoid_focal_loss_fwd": Entry([*FOCAL, Out(FOCAL[0].shape), *FOCAL_SIZES], 1e-5),
    "fullconv_sigmoid_focal_loss_bwd": Entry(
        [normal(*FOCAL[0].shape), *FOCAL, Out(FOCAL[0].shape), *FOCAL_SIZES], 1e-5
    ),
    "fullconv_iou_loss_fwd": Entry([*DISTANCES, Out((R,)), R, 0], 1e-5),
    "fullconv_iou_loss_bwd": Entry([normal(R), *DISTANCES, Out((R, 4)), R, 2], 1e-5),
    "fullconv_deformable_conv_fwd": Entry([*CONV, Out(CONV_OUT), CONV_SHAPE, CONV_SCRATCH], 1e-4),
    "fullconv_deformable_conv_bwd": Entry(
        [normal(*CONV_OUT), *CONV[:4], *[Out(array.shape) for array in CONV], CONV_SHAPE, CONV_SCRATCH], 1e-3
    ),
    "fullconv_ml_nms": Entry(
        [DETS[:, :4].copy(), DETS[:, 4].copy(), RANDOM.randint(1, 4, len(DETS)).astype(np.float32), Out((len(DETS),))]
        + [len(DETS), Double(0.5), Scratch("fullconv_ml_nms_workspace", (len(DETS),))]
    ),
    "fullconv_fcos_target_fwd": Entry(
        [GT_BOXES, Host(LEVELS), Out((N, LOCATIONS)), Out((N, LOCATIONS, 4)), Out((N, LOCATIONS)), N, GT, 2, 1]
    ),
    "fullconv_assemble_fwd": Entry([SCORE_MAPS, WINDOWS, Out((R, M, M)), Out((R, M, M)), *WINDOW_SIZES]),
    "fullconv_assemble_bwd": Entry([normal(R, M, M), WINDOWS, Out(SCORE_MAPS.shape), *WINDOW_SIZES], 1e-4),
}

POOL_ATTRIBUTES = {"spatial_scale": 0.0625, "group_size": G, "pooled_size": P}
OPERATORS: Dict[str, Operator] = {
    "fullconv_psroi_pooling": Operator([CLS_SEG, ROIS], {**POOL_ATTRIBUTES, "output_dim": 2 * C}, 1e-4),
    "_contrib_ChannelOperator": Operator([CLS_SEG], {"op_type": "Group_Max", "group": C}),
    "fullconv_fcis_head": Operator([CLS_SEG, BBOX, ROIS], {**POOL_ATTRIBUTES, "num_classes": C}, backward=False),
    "fullconv_proposal": Operator(
        [CLS_PROB, DELTAS, IM_INFO, SEEDS],
        {
            "feature_stride": 16,
            "base_size": 16,
            "scales": SCALES,
            "ratios": RATIOS,
            "threshold": 0.7,
            "rpn_pre_nms_top_n": 500,
            "rpn_post_nms_top_n": 60,
            "rpn_min_size": 4,
        },
        1e-3,
    ),
    "fullconv_proposal_annotator": Operator(
        [CANDIDATES, GT_BOXES, GT_MASKS, SEEDS], {"batch_rois": 32, "batch_images": N, "mask_size": M}, 1e-4
    ),
    "fullconv_box_annotator_ohem": Operator(OHEM, {"roi_per_img": 16}),
    "fullconv_box_parser": Operator(DECODE, {"class_agnostic": True}, 1e-4),
    "fullconv_group_norm": Operator(GROUP_NORM, {"num_groups": 3, "act": "relu"}, 1e-4),
    "fullconv_sigmoid_focal_loss": Operator(FOCAL, {"alpha": 0.25, "gamma": 2}, 1e-5),
    "fullconv_iou_loss": Operator(DISTANCES, {"loss_type": "giou"}, 1e-5),
    "fullconv_deformable_conv": Operator(
        CONV,
        {
            "kernel": (3, 3),
            "stride": (2, 1),
            "pad": (1, 1),
            "num_filter": 14,
            "num_group": 2,
            "num_deformable_group": 3,
            "modulated": True,
        },
        1e-3,
    ),
    "fullconv_assemble": Operator([SCORE_MAPS, WINDOWS], {"group_size": 5, "window_size": M, "rule": "floor"}, 1e-4),
    "fullconv_fcos_target": Operator(
        [GT_BOXES, normal(N, 1, 20, 20), normal(N, 1, 10, 10)],
        {"strides": (8, 16), "sizes_of_interest": (64,), "center_sampling_radius": 1.5},
    ),
}
