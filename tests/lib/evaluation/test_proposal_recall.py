"""Recall of proposals: by hand, against brute force, and where there is nothing to find."""

from __future__ import annotations

import numpy as np
import pytest

from fullconv.lib.bbox.overlaps import bbox_overlaps
from fullconv.lib.evaluation.proposal_recall import IOU_THRESHOLDS, proposal_recall

BOX, HALF, FAR = [0, 0, 9, 9], [0, 0, 9, 4], [50, 50, 59, 59]


def test_by_hand():
    truth = [np.array([BOX, FAR]), np.zeros((0, 4)), np.array([BOX])]
    proposals = [np.array([HALF, BOX]), np.array([FAR]), np.array([HALF])]
    found = proposal_recall(truth, proposals, counts=(1, 2), thresholds=(0.5, 0.75))
    np.testing.assert_allclose(found.recall, [[2 / 3, 0], [2 / 3, 1 / 3]])
    assert found.objects == 3 and found.average == pytest.approx([1 / 3, 0.5])
    assert found.as_dict()["recall@0.75 of 2"] == pytest.approx(1 / 3)
    assert found.table().splitlines()[2].split() == ["2", "66.67", "33.33", "50.00"]


def test_brute_force():
    rng = np.random.RandomState(0)

    def boxes(count):
        corner, side = rng.uniform(0, 60, (count, 2)), rng.uniform(5, 40, (count, 2))
        return np.hstack([corner, corner + side])

    truth, proposals = [boxes(n) for n in (3, 1, 4)], [boxes(n) for n in (40, 0, 7)]
    found = proposal_recall(truth, proposals, counts=(5, 20))
    for i, count in enumerate((5, 20)):
        for k, threshold in enumerate(IOU_THRESHOLDS):
            hits = [
                any(bbox_overlaps(p[None], t[None])[0, 0] >= threshold for p in some[:count])
                for objects, some in zip(truth, proposals)
                for t in objects
            ]
            assert found.recall[i, k] == pytest.approx(np.mean(hits))


def test_the_truth_itself_is_found_at_every_threshold():
    boxes = [np.array([BOX, FAR, [3.3, 4.4, 20.1, 17.7]])]
    assert (proposal_recall(boxes, boxes).recall == 1).all() and len(IOU_THRESHOLDS) == 10


def test_without_objects_there_is_no_recall():
    found = proposal_recall([np.zeros((0, 4))], [np.array([BOX])])
    assert found.objects == 0 and np.isnan(found.recall).all()
    assert np.isnan(proposal_recall([], []).recall).all()
