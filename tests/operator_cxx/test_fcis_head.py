"""The fused FCIS head against its parts, through the C interface."""

from __future__ import annotations

from typing import Callable, List, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

F = np.float32
ENTRIES = ["fullconv_fcis_head_cpu", "fullconv_fcis_head_direct_cpu"]


class Case(NamedTuple):
    cls_seg: np.ndarray
    bbox: np.ndarray
    rois: np.ndarray
    classes: int
    num_reg: int
    group: int
    pooled: int

    @property
    def sizes(self) -> tuple:
        return self.classes, self.num_reg, self.group, self.pooled, *self.bbox.shape[2:], len(self.rois)


def make_case(seed: int, images: int, classes: int, num_reg: int, group: int, pooled: int, rois: int) -> Case:
    random = np.random.RandomState(seed)
    height, width = random.randint(2, 12, 2)
    maps = [random.randn(images, k * group**2, height, width).astype(F) for k in (2 * classes, num_reg)]
    corners = random.uniform(-20, 200, (rois, 4))
    boxes = np.concatenate([random.randint(-1, images + 1, (rois, 1)), corners], 1).astype(F)
    boxes[random.uniform(size=rois) < 0.1, 2] = np.nan
    return Case(*maps, boxes, classes, num_reg, group, pooled)


def run_head(entry: str, case: Case, c_call: Callable, c_scratch: Callable) -> List[np.ndarray]:
    rois, pooled = len(case.rois), case.pooled
    shapes = (rois, case.classes), (rois, case.num_reg), (rois, 2, pooled, pooled)
    outputs = [np.full(shape, np.nan, F) for shape in shapes]
    space = c_scratch("fullconv_fcis_head_workspace", *case.sizes)
    inputs = case.cls_seg, case.bbox, case.rois
    c_call(entry, *inputs, *outputs, len(case.bbox), *case.sizes, 0.0625, space)
    return outputs


def pool(data: np.ndarray, case: Case, c_call: Callable) -> np.ndarray:
    dim = data.shape[1] // case.group**2
    out = np.empty((len(case.rois), dim, case.pooled, case.pooled), F)
    sizes = len(data), dim, case.group, case.pooled, *data.shape[2:], len(case.rois), 0.0625
    c_call("fullconv_psroi_pooling_direct_fwd_cpu", data, case.rois, out, *sizes)
    return out.astype(float)


def softmax(x: np.ndarray) -> np.ndarray:
    power = np.exp(x - x.max(1, keepdims=True))
    return power / power.sum(1, keepdims=True)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(
    case=st.builds(
        make_case,
        seed=st.integers(0, 10000),
        images=st.integers(1, 3),
        classes=st.integers(2, 12),
        num_reg=st.sampled_from([4, 8, 20]),
        group=st.integers(1, 4),
        pooled=st.integers(1, 9),
        rois=st.integers(0, 6),
    ),
    entry=st.sampled_from(ENTRIES),
)
def test_equals_its_parts(case: Case, entry: str, c_call: Callable, c_scratch: Callable) -> None:
    cls_prob, bbox_pred, seg_pred = run_head(entry, case, c_call, c_scratch)
    pooled = pool(case.cls_seg, case, c_call).reshape(len(case.rois), case.classes, 2, case.pooled, case.pooled)
    expected = softmax(pooled.max(2).mean((2, 3)))
    np.testing.assert_allclose(cls_prob, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(bbox_pred, pool(case.bbox, case, c_call).mean((2, 3)), rtol=0, atol=1e-6)
    best = 1 + cls_prob[:, 1:].argmax(1)  # of the head's own scores: a tie may fall either way
    np.testing.assert_allclose(seg_pred, softmax(pooled[np.arange(len(best)), best]), rtol=0, atol=1e-6)


def test_both_ways_agree_to_the_last_bit(c_call: Callable, c_scratch: Callable) -> None:
    """More classes than one block holds, the published grid, several images."""
    case = make_case(3, 2, 21, 8, 7, 21, 30)
    results = [run_head(entry, case, c_call, c_scratch) for entry in ENTRIES]
    for fast, direct in zip(*results):
        np.testing.assert_array_equal(fast, direct)


@pytest.mark.parametrize("entry", ENTRIES)
def test_unusable_rois(entry: str, c_call: Callable, c_scratch: Callable) -> None:
    """They see zero scores: every class alike, no box change, undecided masks."""
    case = make_case(5, 1, 3, 8, 2, 4, 3)
    case.rois[:] = [[7, 0, 0, 50, 50], [0, np.nan, 0, 9, 9], [-np.inf, 0, 0, 9, 9]]
    cls_prob, bbox_pred, seg_pred = run_head(entry, case, c_call, c_scratch)
    np.testing.assert_allclose(cls_prob, 1 / 3, rtol=1e-6)
    np.testing.assert_array_equal(bbox_pred, 0)
    np.testing.assert_array_equal(seg_pred, 0.5)
