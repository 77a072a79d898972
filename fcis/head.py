"""From an exported network's maps to what the test graph gives, by the same operators without MXNet: proposals, and
the heads on them (Li et al., CVPR 2017, section 3.3)."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Tuple

import numpy as np

from fullconv.fcis.symbols.spec import GROUP, BoxNormalization, ProposalSpec
from fullconv.lib.engines.network import Network
from fullconv.lib.rpn.propose import propose
from fullconv.operator_cxx import c_library

MAPS = ("rpn/prob", "rpn/bbox_reg", "score_maps/cls_seg", "score_maps/bbox_reg")
"""What the outputs of an exported FCIS are called, in the order of `fcis.symbols.inference.maps_symbol`."""


class HeadSpec(NamedTuple):
    """What is done behind the maps.

    stride: of the maps. num_classes: with the background. num_reg_classes, mask_size, scales, ratios: as of
    `fcis.symbols.spec.NetworkSpec`; rounds, proposals, boxes: as of its `TestSpec`.
    """

    stride: int
    num_classes: int
    num_reg_classes: int
    mask_size: int
    scales: Tuple[float, ...]
    ratios: Tuple[float, ...]
    proposals: ProposalSpec
    boxes: BoxNormalization
    rounds: int = 1


class Heads:
    """An exported network and what comes behind it: a `Network` with the outputs of the test graph."""

    def __init__(self, maps: Network, spec: HeadSpec) -> None:
        self.maps, self.spec = maps, spec

    def start(self, batch: Mapping[str, np.ndarray]) -> Any:
        """Queue the maps of `data` (1, 3, H, W)."""
        return self.maps.start({"data": batch["data"]}), batch["im_info"]

    def finish(self, started: Any) -> Dict[str, np.ndarray]:
        """Wait for them, then propose and pool."""
        queued, im_info = started
        found = self.maps.finish(queued)
        return after_maps([found[name] for name in MAPS], im_info, self.spec)


class Proposals(Heads):
    """An exported network up to its `proposals` (post_nms, 5)."""

    def finish(self, started: Any) -> Dict[str, np.ndarray]:
        """Wait for the maps, then propose."""
        queued, im_info = started
        found = self.maps.finish(queued)
        return {"proposals": first_rois(found[MAPS[0]], found[MAPS[1]], im_info, self.spec)}


def first_rois(prob: np.ndarray, deltas: np.ndarray, im_info: np.ndarray, spec: HeadSpec) -> np.ndarray:
    """Rois (post_nms, 5) of the RPN's maps."""
    limits = spec.proposals
    return propose(
        prob,
        deltas,
        im_info,
        stride=spec.stride,
        scales=spec.scales,
        ratios=spec.ratios,
        pre_nms=limits.pre_nms,
        post_nms=limits.post_nms,
        threshold=limits.threshold,
        min_size=limits.min_size,
    )


def after_maps(maps: List[np.ndarray], im_info: np.ndarray, spec: HeadSpec) -> Dict[str, np.ndarray]:
    """`rois` (T, 5), `cls_prob_reshape` (1, T, C), `bbox_pred_reshape` (1, T, 4 * regressed classes) and `seg_pred`
    (T, 2, M, M) of one image's maps; T = rois x rounds, the first round first."""
    prob, deltas, cls_seg, bbox = maps
    im_info = np.ascontiguousarray(im_info, np.float32)
    rois = first_rois(prob, deltas, im_info, spec)
    rounds = [(rois, *pool_heads(cls_seg, bbox, rois, spec))]
    for _ in range(1, spec.rounds):
        rois, cls_prob, bbox_pred, _ = rounds[-1]
        rois = parse_boxes(rois, bbox_pred, cls_prob, im_info, spec)
        rounds.append((rois, *pool_heads(cls_seg, bbox, rois, spec)))
    rois, cls_prob, bbox_pred, seg_pred = (np.concatenate(parts) for parts in zip(*rounds))
    return {
        "rois": rois,
        "cls_prob_reshape": cls_prob[None],
        "bbox_pred_reshape": bbox_pred[None],
        "seg_pred": seg_pred,
    }


@lru_cache(maxsize=None)
def _entries() -> Tuple[Callable[..., int], Callable[..., int], Callable[..., int]]:
    """Heads, their scratch, boxes."""
    library = c_library()
    heads, workspace = library.fullconv_fcis_head_cpu, library.fullconv_fcis_head_workspace
    boxes = library.fullconv_box_parser_fwd_cpu
    pointer, number = ctypes.c_void_p, ctypes.c_int
    heads.argtypes = [*[pointer] * 6, *[number] * 8, ctypes.c_float, pointer, pointer]
    workspace.argtypes, workspace.restype = [number] * 7, ctypes.c_size_t
    boxes.argtypes = [*[pointer] * 5, *[number] * 4, pointer, number, pointer]
    return heads, workspace, boxes


def pool_heads(
    cls_seg: np.ndarray, bbox: np.ndarray, rois: np.ndarray, spec: HeadSpec
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`lib.operators.fcis_head` of arrays: cls_prob (T, C), bbox_pred (T, 4 * regressed classes) and seg_pred
    (T, 2, M, M).

    Raises ValueError: maps that are not of this many classes.
    """
    classes, num_reg, size, count = spec.num_classes, 4 * spec.num_reg_classes, spec.mask_size, len(rois)
    n, _, height, width = cls_seg.shape
    cells = GROUP * GROUP
    for name, array, channels in (("cls_seg", cls_seg, 2 * classes * cells), ("bbox", bbox, num_reg * cells)):
        if array.shape != (n, channels, height, width):
            raise ValueError(f"{name} must be {(n, channels, height, width)} for {classes} classes, not {array.shape}")
    heads, workspace_size, _ = _entries()
    outputs = [np.empty(shape, np.float32) for shape in ((count, classes), (count, num_reg), (count, 2, size, size))]
    workspace = np.empty(workspace_size(classes, num_reg, GROUP, size, height, width, count), np.uint8)
    arrays = [np.ascontiguousarray(array, np.float32) for array in (cls_seg, bbox, rois)]
    heads(
        *(array.ctypes.data for array in (*arrays, *outputs)),
        *(n, classes, num_reg, GROUP, size, height, width, count, 1.0 / spec.stride, workspace.ctypes.data, None),
    )
    return outputs[0], outputs[1], outputs[2]


def parse_boxes(
    rois: np.ndarray, deltas: np.ndarray, cls_prob: np.ndarray, im_info: np.ndarray, spec: HeadSpec
) -> np.ndarray:
    """`lib.operators.box_parser` of arrays: rois (T, 5) moved by their deltas (T, 4 * regressed classes)."""
    out = np.empty_like(rois)
    numbers = np.array([*spec.boxes.means, *spec.boxes.stds], np.float32)
    _entries()[2](
        *(array.ctypes.data for array in (rois, deltas, cls_prob, im_info, out)),
        *(len(rois), deltas.shape[1], cls_prob.shape[1], len(im_info)),
        *(numbers.ctypes.data, int(spec.num_reg_classes == 2), None),
    )
    return out
