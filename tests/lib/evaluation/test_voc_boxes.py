"""AP of boxes: by hand, by the two rules, and against a definition by the book."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from fullconv.lib.evaluation.sanity import EvaluationError
from fullconv.lib.evaluation.voc_ap import voc_ap
from fullconv.lib.evaluation.voc_boxes import VocBoxEvaluator
from fullconv.lib.structures.detections import Detections
from fullconv.lib.structures.entry import Entry

CLASSES = ["__background__", "cat", "dog", "cow"]
BOX = [10, 10, 29, 29]


def image(boxes, labels, name="a"):
    return Entry(f"{name}.jpg", name, 100, 120, boxes, labels)


def score(entries, detections, **more):
    return VocBoxEvaluator(entries, CLASSES, **more).evaluate(detections, "")


def test_found_doubled_and_missed():
    """Two cats, one found twice: precision 1 at recall 0.5, and nothing beyond."""
    entries = [image([BOX, [50, 50, 69, 69]], [1, 1])]
    result = score(entries, [Detections([BOX, BOX], [0.9, 0.8], [1, 1])])
    assert result["AP@0.5/cat"] == pytest.approx(0.5)
    assert result["AP@0.5/cat (11 points)"] == pytest.approx(6 / 11)
    assert result["AP@0.5/dog"] == 0 and result["classes with objects"] == 1
    assert result["mAP@0.5"] == result["AP@0.5/cat"], "dogs and cows that are not there do not count"


def test_ends_are_inclusive():
    """20 x 20 pixels of which 20 x 10 are shared with 20 x 10: IoU is exactly one half, which counts."""
    entries = [image([BOX], [1])]
    half = [Detections([[10, 10, 29, 19]], [0.9], [1])]
    assert score(entries, half)["mAP@0.5"] == 1 and score(entries, half, threshold=0.51)["mAP@0.51"] == 0


def test_a_box_of_another_image_or_class_is_wrong():
    entries = [image([BOX], [1], "a"), image([BOX], [2], "b")]
    swapped = [Detections([BOX], [0.9], [2]), Detections([BOX], [0.9], [1])]
    assert score(entries, swapped)["mAP@0.5"] == 0


def by_the_book(entries, detections, label, threshold=0.5):
    """Precision and recall, one detection after the other."""
    rows = [
        (float(s), i, box)
        for i, f in enumerate(detections)
        for s, box in zip(f.of_class(label).scores, f.of_class(label).boxes)
    ]
    used, hits = set(), []
    for _, i, box in sorted(rows, key=lambda row: -row[0]):
        best, winner = -1.0, None
        for g, truth in enumerate(entries[i].boxes):
            if entries[i].classes[g] == label:
                w = min(box[2], truth[2]) - max(box[0], truth[0]) + 1
                h = min(box[3], truth[3]) - max(box[1], truth[1]) + 1
                areas = [(b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (box, truth)]
                iou = w * h / (sum(areas) - w * h) if w > 0 and h > 0 else 0.0
                if iou > best:
                    best, winner = iou, (i, g)
        hits.append(best >= threshold and winner not in used)
        used |= {winner} if hits[-1] else set()
    total = sum(int((entry.classes == label).sum()) for entry in entries)
    found = np.cumsum(hits)
    return found / np.arange(1, len(hits) + 1), found / max(total, 1), total


@pytest.mark.parametrize("block", range(10))
def test_random_cases_by_the_book(block):
    for seed in range(100 * block, 100 * (block + 1)):
        check_by_the_book(np.random.RandomState(seed), 1 + seed % 4)


def check_by_the_book(rng, images):
    entries, detections = [], []
    for i in range(images):
        corners = rng.randint(0, 60, (rng.randint(0, 5), 2))
        boxes = np.hstack([corners, corners + rng.randint(5, 40, corners.shape)]).reshape(-1, 4).astype(float)
        labels = rng.randint(1, 4, len(boxes))
        entries.append(image(boxes, labels, str(i)))
        rows = np.repeat(np.arange(len(boxes)), rng.randint(0, 4, len(boxes)))
        shaken = boxes[rows] + rng.normal(0, 3, (len(rows), 4))
        detections.append(Detections(shaken, rng.rand(len(rows)).round(1), labels[rows]))
    result = score(entries, detections)
    for label, name in enumerate(CLASSES[1:], 1):
        precision, recall, total = by_the_book(entries, detections, label)
        for ending, rule in (("", False), (" (11 points)", True)):
            expected = voc_ap(recall, precision, rule) if total else 0.0
            assert result[f"AP@0.5/{name}{ending}"] == pytest.approx(expected, abs=1e-12)


def test_table_and_absent_classes():
    entries = [image([BOX], [1])]
    evaluator = VocBoxEvaluator(entries, CLASSES)
    table = evaluator.table(evaluator.evaluate([Detections([BOX], [0.9], [1])], ""))
    lines = table.splitlines()
    assert lines[0].split() == ["AP@0.5", "11", "points"] and lines[1].split() == ["cat", "100.00", "100.00"]
    assert lines[4].split() == ["mAP", "100.00", "100.00"] and "(1 of 3 classes have objects" in lines[5]


def test_nothing_found_and_nothing_there(caplog):
    with caplog.at_level(logging.WARNING):
        assert score([image([BOX], [1])], [Detections.empty()])["mAP@0.5"] == 0
    assert "not a single detection" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert score([image([BOX], [1])], [Detections([BOX], [0.9], [2])])["mAP@0.5"] == 0
    assert "the order of classes differs" in caplog.text
    assert score([image([], [])], [Detections.empty()])["mAP@0.5"] == 0


def test_masks_are_not_looked_at_and_other_results_are_refused():
    entries = [image([BOX], [1])]
    assert score(entries, [Detections([BOX], [0.9], [1], np.full((1, 3, 3), np.nan))])["mAP@0.5"] == 1
    with pytest.raises(EvaluationError, match="another image set"):
        score(entries, [])
    with pytest.raises(EvaluationError, match="image a: results have class 7"):
        score(entries, [Detections([BOX], [0.9], [7])])


def test_the_mean_of_ten_thresholds():
    """20 x 20 pixels of which 20 x 14 are found: IoU 0.7, which five of the ten thresholds take."""
    entries = [image([BOX], [1])]
    result = score(entries, [Detections([[10, 10, 29, 23]], [0.9], [1])])
    assert result["mAP@0.5"] == 1 and result["mAP@0.5:0.95"] == pytest.approx(0.5)
