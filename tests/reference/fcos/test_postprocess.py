"""From the head's outputs to detections, against the original's: every candidate and every detection."""

from __future__ import annotations

from typing import Callable, List

import numpy as np
import pytest

from fullconv.fcos.postprocess import Level, ResultSpec, candidates, select
from fullconv.lib.structures.detections import Detections

CASES = {
    "default": ResultSpec(),
    "pretop50": ResultSpec(per_level=50),
    "post20": ResultSpec(best=20),
    "post0": ResultSpec(best=0),
    "nms0": ResultSpec(nms=0.0),
    "nms30": ResultSpec(nms=0.3, best=0),  # recorded without a limit, as their counts say
    "th30": ResultSpec(threshold=0.3),
    "minsize20": ResultSpec(min_size=20.0, best=0),
}


def levels(arrays: dict, image: int) -> List[Level]:
    return [Level(*(arrays[f"{kind}_P{n}"][image] for kind in ("cls", "reg", "ctr"))) for n in range(3, 8)]


def rows(found: Detections) -> np.ndarray:
    """(m, 6) box, score, label, in an order that does not depend on theirs: score, label, x1, y1."""
    table = np.column_stack([found.boxes, found.scores, found.labels])
    return table[np.lexsort((table[:, 1], table[:, 0], table[:, 5], -table[:, 4].round(5)))]


@pytest.mark.parametrize("image", range(4))
@pytest.mark.parametrize("case", CASES)
def test_detections(fcos_reference: Callable, case: str, image: int) -> None:
    arrays, spec = fcos_reference("e_postprocess"), CASES[case]
    height, width = arrays["image_sizes_hw"][image]
    found = select(candidates(levels(arrays, image), (height, width), spec), spec)
    assert len(found) == arrays[f"{case}/n_final"][image]
    expected = Detections(*(arrays[f"{case}/im{image}_{key}"] for key in ("boxes", "scores", "labels")))
    np.testing.assert_allclose(rows(found), rows(expected), rtol=1e-5, atol=1e-3)
    raw = Detections(*(arrays[f"{case}/im{image}_raw_{key}"] for key in ("boxes", "scores", "labels")))
    if spec.per_level == 1000 and len(found):  # else the original's own order is that of an unsorted topk
        np.testing.assert_array_equal(found.labels, raw.labels)
        np.testing.assert_allclose(found.boxes, raw.boxes, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("image", range(4))
def test_all_views_give_candidates_only(fcos_reference: Callable, image: int) -> None:
    arrays = fcos_reference("e_postprocess")
    height, width = arrays["image_sizes_hw"][image]
    found = candidates(levels(arrays, image), (height, width), ResultSpec())
    expected = Detections(*(arrays[f"bboxaug/im{image}_{key}"] for key in ("boxes", "scores", "labels")))
    np.testing.assert_allclose(rows(found), rows(expected), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("top", [2, 3, 4, 6, 12, 20])
def test_ties_at_the_last_place_are_all_kept(fcos_reference: Callable, top: int) -> None:
    arrays = fcos_reference("e_postprocess")
    given = Detections(*(arrays[f"tie/{key}"] for key in ("boxes", "scores", "labels")))
    found = select(given, ResultSpec(best=top))
    np.testing.assert_array_equal(found.scores, arrays[f"tie/top{top}_scores"])
    np.testing.assert_array_equal(found.boxes[:, 0], arrays[f"tie/top{top}_x1"])
