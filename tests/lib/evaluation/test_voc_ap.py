"""AP from precision-recall curves: hand-computed values, properties, and a slow second opinion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullconv.lib.evaluation.voc_ap import precision_recall, voc_ap


def slow_area(hits, num_gt):
    """Every object found adds 1/num_gt of the best precision from there on."""
    total, tp = 0.0, 0
    precision = [sum(hits[: k + 1]) / (k + 1) for k in range(len(hits))]
    for k, hit in enumerate(hits):
        if hit:
            tp += 1
            total += max(precision[k:]) / num_gt
    return total


def slow_eleven(hits, num_gt):
    curve = [(sum(hits[: k + 1]) / num_gt, sum(hits[: k + 1]) / (k + 1)) for k in range(len(hits))]
    points = [0.1 * k for k in range(11)]
    return sum(max([p for r, p in curve if r >= t] or [0.0]) for t in points) / 11


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 10))
def test_against_the_definition(hits, missed):
    num_gt = sum(hits) + missed
    precision, recall = precision_recall(np.array(hits, dtype=bool), num_gt)
    if num_gt == 0:
        assert voc_ap(recall, precision, True) == 0
        return
    assert voc_ap(recall, precision, True) == pytest.approx(slow_eleven(hits, num_gt), abs=1e-12)
    assert voc_ap(recall, precision, False) == pytest.approx(slow_area(hits, num_gt), abs=1e-12)


def test_perfect_and_empty():
    precision, recall = precision_recall(np.ones(4, dtype=bool), 4)
    assert voc_ap(recall, precision, True) == pytest.approx(1.0)
    assert voc_ap(recall, precision, False) == pytest.approx(1.0)
    assert voc_ap(np.zeros(0), np.zeros(0), True) == 0
    assert voc_ap(np.zeros(0), np.zeros(0), False) == 0


def test_recall_of_three_tenths_misses_the_point_as_in_the_development_kit():
    precision, recall = precision_recall(np.ones(3, dtype=bool), 10)
    assert voc_ap(recall, precision, True) == pytest.approx(3 / 11)  # points 0, 0.1 and 0.2 only


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="equally long"):
        voc_ap(np.zeros(3), np.zeros(2))
