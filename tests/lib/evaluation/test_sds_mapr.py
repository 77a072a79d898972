"""mAP^r: brute force over whole-image masks, properties, speed, and refusal of what cannot be judged."""

from __future__ import annotations

import logging
import time

import cv2
import numpy as np
import pytest

from fullconv.lib.evaluation.sanity import EvaluationError
from fullconv.lib.evaluation.sds_mapr import (
    crop_segment,
    evaluate_sds,
    format_table,
    render_segment,
    sds_curves,
    segment_iou,
)

CLASSES = ["__background__", "cat", "dog", "cow"]


def random_case(rng, num_images=4, height=40, width=50, num_classes=4):
    """Noisy copies of random ellipses: some hit, some double, some miss; scores with ties."""
    truth = []
    boxes = [[[] for _ in range(num_images)] for _ in range(num_classes)]
    masks = [[[] for _ in range(num_images)] for _ in range(num_classes)]
    for i in range(num_images):
        count = rng.randint(0, 5)
        objects, labels = np.zeros((count, height, width), dtype=bool), rng.randint(1, num_classes, count)
        for k in range(count):
            canvas = np.zeros((height, width), dtype=np.uint8)
            centre = (int(rng.randint(5, width - 5)), int(rng.randint(5, height - 5)))
            axes = (int(rng.randint(2, 14)), int(rng.randint(2, 14)))
            cv2.ellipse(canvas, centre, axes, int(rng.randint(180)), 0, 360, 1, -1)
            objects[k] = canvas > 0
            for _ in range(rng.randint(0, 4)):
                x1, y1 = np.array(centre) - axes + rng.normal(0, 2, 2)
                x2, y2 = np.array(centre) + axes + rng.normal(0, 2, 2)
                label = labels[k] if rng.rand() < 0.8 else rng.randint(1, num_classes)
                boxes[label][i].append([x1, y1, x2, y2, np.round(rng.rand(), 1)])
                yy, xx = np.mgrid[-1:1:21j, -1:1:21j]
                blob = 1 / (1 + np.exp(4 * (xx**2 + yy**2 - 1))) + rng.normal(0, 0.1, (21, 21))
                masks[label][i].append(blob.astype(np.float32))
        truth.append({"masks": objects, "classes": labels})
    boxes = [[np.array(b, dtype=np.float64).reshape(-1, 5) for b in row] for row in boxes]
    masks = [[np.array(m, dtype=np.float32).reshape(-1, 21, 21) for m in row] for row in masks]
    return truth, boxes, masks


def paste(box, mask, thresh, shape, margin=60):
    """Detection on a canvas with a margin, so that nothing is cut at the border."""
    canvas = np.zeros((shape[0] + 2 * margin, shape[1] + 2 * margin), dtype=bool)
    x1, y1, x2, y2 = (int(round(v)) for v in box[:4])
    if x2 >= x1 and y2 >= y1:
        cut = cv2.resize(mask, (x2 - x1 + 1, y2 - y1 + 1)) >= thresh
        canvas[y1 + margin : y2 + margin + 1, x1 + margin : x2 + margin + 1] = cut
    return canvas


def brute_force(truth, boxes, masks, c, iou_threshold, thresh=0.4, margin=60):
    """Definition by the book: one whole-image comparison at a time."""
    rows = [(i, k) for i in range(len(truth)) for k in range(len(boxes[c][i]))]
    order = np.argsort([-boxes[c][i][k, 4] for i, k in rows]) if rows else []
    used, tp = set(), []
    num_gt = sum(int(label) == c for image in truth for label in image["classes"])
    for i, k in (rows[j] for j in order):
        shape = truth[i]["masks"].shape[1:]
        found = paste(boxes[c][i][k], masks[c][i][k], thresh, shape, margin)
        best, winner = -1.0, None
        for g, label in enumerate(truth[i]["classes"]):
            target = np.pad(truth[i]["masks"][g], margin)
            union = (found | target).sum()
            iou = (found & target).sum() / union if union else 0.0
            if label == c and iou > best:
                best, winner = iou, (i, g)
        hit = best >= iou_threshold and winner not in used
        tp.append(hit)
        if hit:
            used.add(winner)
    recall = np.cumsum(tp) / num_gt if num_gt else np.zeros(len(tp))
    precision = np.cumsum(tp) / (np.arange(len(tp)) + 1)
    points = np.arange(0.0, 1.1, 0.1)
    return sum(max([p for r, p in zip(recall, precision) if r >= t] or [0.0]) for t in points) / 11


@pytest.mark.parametrize("block", range(10))
def test_brute_force_on_random_cases(block):
    for seed in range(100 * block, 100 * (block + 1)):
        truth, boxes, masks = random_case(np.random.RandomState(seed), num_images=1 + seed % 3)
        curves = sds_curves(truth, CLASSES, boxes, masks)
        for c in range(1, len(CLASSES)):
            for t, threshold in enumerate((0.5, 0.7)):
                expected = brute_force(truth, boxes, masks, c, threshold)
                assert curves[c][t].ap == pytest.approx(expected, abs=1e-9), (seed, c, threshold)


def perfect(truth):
    """Detections that are the ground truth itself, by masks as large as their boxes."""
    boxes = [[np.zeros((0, 5)) for _ in truth] for _ in CLASSES]
    masks = [[np.zeros((0, 21, 21)) for _ in truth] for _ in CLASSES]
    for i, image in enumerate(truth):
        for mask, c in zip(image["masks"], image["classes"]):
            segment = crop_segment(mask)
            boxes[c][i] = np.array([[*segment.box, 0.9]])
            masks[c][i] = segment.mask[None].astype(np.float32)
    return boxes, masks


def one_each(rng):
    truth = []
    for c in (1, 2):
        mask = np.zeros((1, 40, 50), dtype=bool)
        mask[0, 5 : 20 + rng.randint(10), 8 : 25 + rng.randint(10)] = True
        truth.append({"masks": mask, "classes": [c]})
    return truth


def test_perfect_results_and_absent_classes():
    truth = one_each(np.random.RandomState(0))
    result = evaluate_sds(truth, CLASSES, *perfect(truth))
    assert result["classes with objects"] == 2
    assert result["mAP^r@0.7 (classes with objects)"] == pytest.approx(1.0)
    assert result["mAP^r@0.7"] == pytest.approx(2 / 3)  # "cow" does not occur and counts 0
    assert result["AP^r@0.5/cat"] == pytest.approx(1.0)
    table = format_table(result, CLASSES)
    assert "66.67" in table and "2 of 3 classes" in table


def test_ground_truth_may_be_a_generator_and_masks_may_have_a_channel():
    truth, boxes, masks = random_case(np.random.RandomState(5))
    expected = evaluate_sds(truth, CLASSES, boxes, masks)
    with_channel = [[m[:, None] for m in row] for row in masks]
    assert evaluate_sds((t for t in truth), CLASSES, boxes, with_channel) == expected
    halves = [[m.astype(np.float16).astype(np.float64) for m in row] for row in masks]
    assert set(evaluate_sds(truth, CLASSES, boxes, halves)) == set(expected)


def test_order_of_images_does_not_matter():
    rng = np.random.RandomState(6)
    truth, boxes, masks = random_case(rng, num_images=8)
    for b in (b for row in boxes for b in row):
        b[:, 4] = rng.rand(len(b))  # without ties
    result = evaluate_sds(truth, CLASSES, boxes, masks)
    turned = evaluate_sds(truth[::-1], CLASSES, [r[::-1] for r in boxes], [r[::-1] for r in masks])
    assert result == turned and 0.1 < result["mAP^r@0.5"] < 0.95


def test_a_second_detection_of_one_object_is_false():
    truth = one_each(np.random.RandomState(0))[:1]
    boxes, masks = perfect(truth)
    boxes[1][0], masks[1][0] = np.repeat(boxes[1][0], 2, axis=0), np.repeat(masks[1][0], 2, axis=0)
    curve = sds_curves(truth, CLASSES, boxes, masks)[1][0]
    np.testing.assert_array_equal(curve.precision, [1.0, 0.5])


def test_no_detection_warns_and_gives_zero(caplog):
    truth = one_each(np.random.RandomState(0))
    empty = [[np.zeros((0, 5))] * 2] * 4
    with caplog.at_level(logging.WARNING):
        result = evaluate_sds(truth, CLASSES, empty, [[[], []]] * 4)
    assert result["mAP^r@0.5"] == 0 and "not a single detection" in caplog.text


def test_a_score_of_zero_comes_with_its_cause(caplog):
    truth = one_each(np.random.RandomState(0))
    boxes, masks = perfect(truth)
    with caplog.at_level(logging.WARNING):
        evaluate_sds(truth, CLASSES, [boxes[0], boxes[2], boxes[1], boxes[3]], [masks[0], masks[2], masks[1], masks[3]])
    assert "the order of classes differs" in caplog.text
    caplog.clear()
    resized = [[b * [1.6, 1.6, 1.6, 1.6, 1] for b in row] for row in boxes]
    with caplog.at_level(logging.WARNING):
        evaluate_sds([{**t, "masks": t["masks"][:, :30, :35]} for t in truth], CLASSES, resized, masks)
    assert "resized network input" in caplog.text


def test_segments():
    assert crop_segment(np.zeros((4, 5), dtype=bool)) is None
    assert render_segment(np.array([5.0, 5, 3, 9]), np.ones((3, 3), np.float32), 0.4) is None
    rounded = render_segment(np.array([0.5, 1.5, 2.5, 3.5]), np.ones((3, 3), np.float32), 0.4)
    assert rounded.box == (0, 2, 2, 4) and rounded.area == 9  # halves to even
    empty = render_segment(np.array([0.0, 0, 4, 4]), np.zeros((3, 3), np.float32), 0.4)
    assert segment_iou(empty, empty) == 0 and segment_iou(rounded, rounded) == 1


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t, b, m: (t, b[:-1], m[:-1]), "3 classes, but the data set has 4"),
        (lambda t, b, m: (t[:-1], b, m), "another image set"),
        (
            lambda t, b, m: ([{**t[0], "classes": [9] * len(t[0]["classes"])}, *t[1:]], b, m),
            "image a: .*class 9",
        ),
        (lambda t, b, m: ([{**t[0], "classes": [1] * 9}, *t[1:]], b, m), "image a: .*9 classes"),
    ],
)
def test_impossible_input(change, message):
    truth, boxes, masks = change(*random_case(np.random.RandomState(1)))
    with pytest.raises(EvaluationError, match=message):
        evaluate_sds(truth, CLASSES, boxes, masks, image_ids=list("abcd"))


def test_a_box_larger_than_any_image_is_refused_before_memory_is():
    truth = one_each(np.random.RandomState(0))
    boxes, masks = perfect(truth)
    boxes[1][0] = np.array([[0, 0, 1e7, 1e7, 0.5]])
    with pytest.raises(EvaluationError, match="not image pixels"):
        evaluate_sds(truth, CLASSES, boxes, masks)


def test_hundreds_of_images_take_seconds():
    rng = np.random.RandomState(3)
    truth, boxes, masks = random_case(rng, num_images=300, height=256, width=320)
    boxes = [[np.repeat(b, 8, axis=0) for b in row] for row in boxes]
    masks = [[np.repeat(m, 8, axis=0) for m in row] for row in masks]
    start = time.perf_counter()
    evaluate_sds(truth, CLASSES, boxes, masks)
    assert sum(len(b) for row in boxes for b in row) > 3000
    assert time.perf_counter() - start < 10
