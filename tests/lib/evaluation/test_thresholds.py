"""The least score per class with the best F1: against counting, through pycocotools, and from a file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fullconv.lib.evaluation.coco import CocoEvaluator
from fullconv.lib.evaluation.thresholds import ThresholdError, best_threshold, read_thresholds, threshold_lines
from fullconv.lib.structures.detections import Detections

CLASSES = ["__background__", "cat", "dog", "cow"]


def curve(right, objects, scores):
    """Interpolated precision and score at 101 recalls, as pycocotools has them; `right`: of detections, best first."""
    hits = np.cumsum(right)
    recall, precision = hits / objects, hits / np.arange(1, len(right) + 1)
    at = np.searchsorted(recall, np.linspace(0, 1, 101) - 1e-12)
    reached = at < len(right)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.minimum(at, len(right) - 1)
    return np.where(reached, best[at], 0.0), np.where(reached, np.asarray(scores)[at], 0.0)


@pytest.mark.parametrize("seed", range(8))
def test_no_other_score_has_a_better_f1(seed):
    """Counted by hand at every cut; the curve is known at 101 recalls only, so with 100 objects at all that occur."""
    rng = np.random.RandomState(seed)
    scores = np.sort(rng.uniform(size=300))[::-1]
    right = rng.uniform(size=300) < scores**2
    right[np.cumsum(right) > 100] = False
    found = best_threshold(*curve(right, 100, scores))
    f1 = 2 * np.cumsum(right) / (np.arange(1, 301) + 100)
    assert found == pytest.approx(scores[f1.argmax()])


def test_a_class_without_objects_or_without_hits_has_none():
    assert best_threshold(np.full(101, -1.0), np.full(101, -1.0)) is None
    assert best_threshold(np.zeros(101), np.zeros(101)) is None


@pytest.fixture
def scored(tmp_path):
    """Ten cats found with scores down to 0.5, wrong ones below 0.4; dogs not found; no cow there is."""
    boxes = [[20 * k, 10, 15, 15] for k in range(10)]
    records = [(1, box) for box in boxes] + [(2, [5, 60, 20, 20])]
    annotations = [
        {"id": k, "image_id": 1, "category_id": c, "bbox": box, "area": 225, "iscrowd": 0}
        for k, (c, box) in enumerate(records, 1)
    ]
    data = {
        "images": [{"id": 1, "height": 120, "width": 220, "file_name": "1.jpg"}],
        "categories": [{"id": k, "name": name} for k, name in enumerate(CLASSES[1:], 1)],
        "annotations": annotations,
    }
    (tmp_path / "own.json").write_text(json.dumps(data))
    corners = [[x, y, x + w - 1, y + h - 1] for x, y, w, h in boxes]
    wrong = [[10 + 7 * k, 90, 18 + 7 * k, 99] for k in range(20)]
    scores = [*np.linspace(0.9, 0.5, 10), *np.linspace(0.39, 0.1, 20)]
    found = Detections(np.array(corners + wrong, float), np.array(scores), np.ones(30, int))
    evaluator = CocoEvaluator(str(tmp_path / "own.json"), [1], [(120, 220)], [1, 2, 3], CLASSES, masks=False)
    return evaluator, evaluator.evaluate([found], str(tmp_path / "results"))


def test_through_the_evaluation(scored):
    evaluator, scores = scored
    assert {key: value for key, value in scores.items() if "threshold" in key} == {
        "box threshold/cat": pytest.approx(0.5)
    }
    table = evaluator.table(scores)
    assert "least score with the best F1 at IoU 0.5 (box):\ncat   0.5000\ndog      n/a\ncow      n/a" in table


def test_read_from_the_file_of_a_test(tmp_path, scored):
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(scored[1]))
    np.testing.assert_allclose(read_thresholds(str(path), CLASSES[1:], 0.3), [0.5, 0.3, 0.3])
    path.write_text(json.dumps({"threshold/cat": 0.2, "box threshold/cat": 0.4, "box threshold/cow": "x"}))
    np.testing.assert_allclose(read_thresholds(str(path), CLASSES[1:], 0.3), [0.2, 0.3, 0.3])


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "cannot be read as the scores.json of a test: .*No such file"),
        ("{", "cannot be read as the scores.json"),
        ("[1]", "has no threshold/<class> of cat, dog, cow, ...: name the scores.json"),
        ('{"AP": 1, "box threshold/cat": NaN}', "has no threshold/<class>"),
    ],
)
def test_files_without_thresholds_are_named(tmp_path, text, message):
    path = tmp_path / "scores.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ThresholdError, match=message):
        read_thresholds(str(path), CLASSES[1:], 0.5)


def test_scores_without_any_have_no_lines():
    assert threshold_lines({"AP": 1.0}, CLASSES[1:]) == []


def test_one_least_score_per_label():
    found = Detections(np.zeros((4, 4)), np.array([0.4, 0.6, 0.4, 0.6]), np.array([1, 1, 2, 2]))
    assert found.above(np.array([0.0, 0.5, 0.3])).scores.tolist() == [0.6, 0.4, 0.6]
