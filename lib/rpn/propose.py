"""`lib.operators.proposal` of numpy arrays by the same code, for networks that MXNet does not compute."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Callable, Sequence, Tuple

import numpy as np

from fullconv.operator_cxx import c_library

BASE_SIZE = 16
"""Pixels that the anchors' scales multiply."""


@lru_cache(maxsize=None)
def _entries() -> Tuple[Callable[..., int], Callable[..., int]]:
    """The entry point of the operator library and the one that says how much scratch it needs."""
    library = c_library()
    entry, workspace = library.fullconv_proposal_fwd_cpu, library.fullconv_proposal_workspace
    pointer, number, real = ctypes.c_void_p, ctypes.c_int, ctypes.c_double
    entry.argtypes = [*[pointer] * 6, *[number] * 6, pointer, number, pointer, number, number, number]
    entry.argtypes += [real, real, pointer, pointer]
    workspace.argtypes, workspace.restype = [number] * 7, ctypes.c_size_t
    return entry, workspace


def propose(
    prob: np.ndarray,
    deltas: np.ndarray,
    im_info: np.ndarray,
    *,
    stride: int,
    scales: Sequence[float],
    ratios: Sequence[float],
    pre_nms: int,
    post_nms: int,
    threshold: float,
    min_size: float,
    seed: int = 0,
) -> np.ndarray:
    """Rois (N * post_nms, 5) float32, the image's index in front, in pixels of the network's input.

    prob (N, 2A, h, w), deltas (N, 4A, h, w), im_info (N, 3); all else as of `lib.operators.proposal`. seed: of the
    draws that repeat boxes where too few are left. Raises ValueError: shapes or numbers that do not fit.
    """
    anchors, (n, _, h, w) = len(scales) * len(ratios), prob.shape
    arrays = [np.ascontiguousarray(array, np.float32) for array in (prob, deltas, im_info, np.full((n, 1), seed))]
    wanted = [(n, 2 * anchors, h, w), (n, 4 * anchors, h, w), (n, 3), (n, 1)]
    for name, array, shape in zip(("prob", "deltas", "im_info"), arrays, wanted):
        if array.shape != shape:
            raise ValueError(f"propose needs {name} of shape {shape} for {anchors} anchors, got {array.shape}")
    entry, workspace_size = _entries()
    rois, score = np.empty((n * post_nms, 5), np.float32), np.empty((n * post_nms, 1), np.float32)
    workspace = np.empty(workspace_size(n, anchors, h, w, pre_nms, post_nms, 0), np.uint8)
    lists = [np.array(numbers, np.float32) for numbers in (scales, ratios)]
    failed = entry(
        *(array.ctypes.data for array in (*arrays, rois, score)),
        *(n, anchors, h, w, stride, BASE_SIZE),
        *(lists[0].ctypes.data, len(scales), lists[1].ctypes.data, len(ratios)),
        *(pre_nms, post_nms, threshold, min_size, workspace.ctypes.data, None),
    )
    if failed:
        raise ValueError(f"propose cannot make anchors of scales {tuple(scales)} and ratios {tuple(ratios)}")
    return rois
