"""Recall of proposals: by hand, against brute force, and where there is nothing to find."""

from __future__ import annotations

import numpy as np
import pytest

from fullconv.lib.bbox.overlaps import bbox_overlaps
from fullconv.lib.evaluation.average_recall import (
    DEFINITIONS,
    IOU_THRESHOLDS,
    best_first,
    continuous_recall,
    mask_overlaps,
    proposal_recall,
    recall,
)

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
    for definition in DEFINITIONS:
        assert np.isnan(recall([np.zeros((3, 0))], definition=definition).recall).all()
    assert np.isnan(continuous_recall([np.zeros((3, 0))])).all()


def test_definitions_by_hand():
    """One proposal on two objects; a better pair that comes later; an object that nothing reaches."""
    iou = np.array([[0.8, 0.7, 0], [0.9, 0.6, 0], [0.55, 0, 0.4]])
    found = {name: recall([iou], (1, 2, 3), (0.5, 0.65, 0.85), name).recall * 3 for name in DEFINITIONS}
    np.testing.assert_allclose(found["best"], [[2, 2, 0], [2, 2, 1], [2, 2, 1]])
    # The first takes the first object, so the second is left with the other one; above 0.65 that is out of reach.
    np.testing.assert_allclose(found["coco"], [[1, 1, 0], [2, 1, 1], [2, 1, 1]])
    np.testing.assert_allclose(found["cover"], [[1, 1, 0], [2, 2, 1], [2, 2, 1]])
    assert continuous_recall([iou], (1, 2)) == pytest.approx([2 * (0.3 + 0.2) / 3, 2 * (0.4 + 0.2) / 3])


def test_coco_is_greedy_one_threshold_at_a_time():
    rng = np.random.RandomState(1)
    for _ in range(30):
        iou = np.round(rng.rand(rng.randint(0, 12), rng.randint(1, 6)), 1)
        found = recall([iou], (3, 100)).recall
        for i, count in enumerate((3, 100)):
            for k, threshold in enumerate(IOU_THRESHOLDS):
                free = set(range(iou.shape[1]))
                for row in iou[:count]:
                    fitting = [n for n in free if row[n] >= threshold]
                    free -= {max(fitting, key=lambda n: (row[n], n))} if fitting else set()
                assert found[i, k] == pytest.approx(1 - len(free) / iou.shape[1])


def test_identical_masks_reach_an_overlap_of_one():
    code = {"size": [4, 4], "counts": "".join(map(chr, [48 + 4, 48 + 8, 48 + 4]))}
    assert mask_overlaps([code], [code]).tolist() == [[1.0]]
    for definition in DEFINITIONS:
        assert recall([np.ones((1, 1))], (1,), (1.0,), definition).recall == 1


def test_equal_scores_keep_their_order():
    assert best_first(np.array([0.5, 0.9, 0.5, 0.9]), 3).tolist() == [1, 3, 0]


def test_unknown_definition():
    with pytest.raises(ValueError, match="recall is defined by coco, best, cover, not by 'voc'"):
        recall([], definition="voc")
