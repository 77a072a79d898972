"""mAP^r: brute force over whole-image masks, properties, speed, and refusal of what cannot be judged."""

from __future__ import annotations

import dataclasses
import logging
import time

import cv2
import numpy as np
import pytest

from fullconv.lib.evaluation.sanity import EvaluationError
from fullconv.lib.evaluation.sds_mapr import (
    SdsEvaluator,
    crop_segment,
    evaluate_sds,
    format_table,
    render_segment,
    sds_curves,
    segment_iou,
)
from fullconv.lib.mask.instance_map import mask_boxes
from fullconv.lib.structures.detections import Detections
from fullconv.lib.structures.entry import ArrayMasks, Entry

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
        truth.append(annotated(objects, labels, "abcd"[i % 4]))
    return truth, [joined([row[i] for row in boxes], [row[i] for row in masks]) for i in range(num_images)]


def annotated(masks, labels, name="a"):
    """An image with these objects."""
    return Entry(f"{name}.jpg", name, *masks.shape[1:], mask_boxes(masks), labels, ArrayMasks(masks))


def joined(boxes, masks):
    """Detections of one image from rows (box, score) and masks per class, in ascending order of class."""
    rows = np.array([row for of_class in boxes for row in of_class]).reshape(-1, 5)
    labels = [c for c, of_class in enumerate(boxes) for _ in of_class]
    stack = np.array([mask for of_class in masks for mask in of_class], np.float32).reshape(-1, 21, 21)
    return Detections(rows[:, :4], rows[:, 4], labels, stack)


def paste(box, mask, thresh, shape, margin=60):
    """Detection on a canvas with a margin, so that nothing is cut at the border."""
    canvas = np.zeros((shape[0] + 2 * margin, shape[1] + 2 * margin), dtype=bool)
    x1, y1, x2, y2 = (int(round(v)) for v in box[:4])
    if x2 >= x1 and y2 >= y1:
        cut = cv2.resize(mask, (x2 - x1 + 1, y2 - y1 + 1)) >= thresh
        canvas[y1 + margin : y2 + margin + 1, x1 + margin : x2 + margin + 1] = cut
    return canvas


def brute_force(truth, detections, c, iou_threshold, thresh=0.4, margin=60):
    """Definition by the book: one whole-image comparison at a time."""
    of_class = [found.of_class(c) for found in detections]
    rows = [(i, k) for i in range(len(truth)) for k in range(len(of_class[i]))]
    order = np.argsort([-of_class[i].scores[k] for i, k in rows]) if rows else []
    used, tp = set(), []
    num_gt = sum(int(label) == c for image in truth for label in image.classes)
    for i, k in (rows[j] for j in order):
        objects = truth[i].read_masks()
        found = paste(of_class[i].boxes[k], of_class[i].masks[k], thresh, objects.shape[1:], margin)
        best, winner = -1.0, None
        for g, label in enumerate(truth[i].classes):
            target = np.pad(objects[g], margin)
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
        truth, detections = random_case(np.random.RandomState(seed), num_images=1 + seed % 3)
        curves = sds_curves(truth, CLASSES, detections)
        for c in range(1, len(CLASSES)):
            for t, threshold in enumerate((0.5, 0.7)):
                expected = brute_force(truth, detections, c, threshold)
                assert curves[c][t].ap == pytest.approx(expected, abs=1e-9), (seed, c, threshold)


def perfect(truth):
    """Detections that are the ground truth itself, by masks as large as their boxes."""
    found = []
    for image in truth:
        (segment,) = map(crop_segment, image.read_masks())
        found.append(Detections([segment.box], [0.9], image.classes, segment.mask[None]))
    return found


def one_each(rng):
    """An image with a cat and one with a dog, squares both."""
    truth = []
    for c in (1, 2):
        mask, side = np.zeros((1, 40, 50), dtype=bool), 15 + rng.randint(10)
        mask[0, 5 : 5 + side, 8 : 8 + side] = True
        truth.append(annotated(mask, [c]))
    return truth


def test_perfect_results_and_absent_classes():
    truth = one_each(np.random.RandomState(0))
    result = evaluate_sds(truth, CLASSES, perfect(truth))
    assert result["classes with objects"] == 2
    assert result["mAP^r@0.7 (classes with objects)"] == pytest.approx(1.0)
    assert result["mAP^r@0.7"] == pytest.approx(2 / 3)  # "cow" does not occur and counts 0
    assert result["AP^r@0.5/cat"] == pytest.approx(1.0)
    table = format_table(result, CLASSES)
    assert "66.67" in table and "2 of 3 classes" in table


def test_ground_truth_may_be_a_generator():
    truth, detections = random_case(np.random.RandomState(5))
    expected = evaluate_sds(truth, CLASSES, detections)
    assert evaluate_sds((t for t in truth), CLASSES, detections) == expected


def test_order_of_images_does_not_matter():
    rng = np.random.RandomState(6)
    truth, detections = random_case(rng, num_images=8)
    detections = [dataclasses.replace(f, scores=rng.rand(len(f))) for f in detections]  # without ties
    result = evaluate_sds(truth, CLASSES, detections)
    assert result == evaluate_sds(truth[::-1], CLASSES, detections[::-1]) and 0.1 < result["mAP^r@0.5"] < 0.95


def test_a_second_detection_of_one_object_is_false():
    truth = one_each(np.random.RandomState(0))[:1]
    curve = sds_curves(truth, CLASSES, [perfect(truth)[0].select([0, 0])])[1][0]
    np.testing.assert_array_equal(curve.precision, [1.0, 0.5])


def test_no_detection_warns_and_gives_zero(caplog):
    truth = one_each(np.random.RandomState(0))
    with caplog.at_level(logging.WARNING):
        result = evaluate_sds(truth, CLASSES, [Detections.empty(21)] * 2)
    assert result["mAP^r@0.5"] == 0 and "not a single detection" in caplog.text


def test_a_score_of_zero_comes_with_its_cause(caplog):
    truth = one_each(np.random.RandomState(0))
    detections = perfect(truth)
    with caplog.at_level(logging.WARNING):
        evaluate_sds(truth, CLASSES, [dataclasses.replace(f, labels=3 - f.labels) for f in detections])
    assert "the order of classes differs" in caplog.text
    caplog.clear()
    resized = [dataclasses.replace(f, boxes=f.boxes * 1.6) for f in detections]
    cut = [annotated(t.read_masks()[:, :30, :35], t.classes) for t in truth]
    with caplog.at_level(logging.WARNING):
        evaluate_sds(cut, CLASSES, resized)
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
        (lambda t, d: (t, [dataclasses.replace(f, labels=f.labels + 3) for f in d]), "class [456], but .* 4 classes"),
        (lambda t, d: (t[:-1], d), "another image set"),
        (lambda t, d: ([dataclasses.replace(t[0], classes=t[0].classes * 0 + 9), *t[1:]], d), "image a: .*class 9"),
        (lambda t, d: (t, [Detections(f.boxes, f.scores, f.labels) for f in d]), "image a: .*boxes without masks"),
        (lambda t, d: ([dataclasses.replace(e, masks=None) for e in t], d), "its data set has boxes without masks"),
    ],
)
def test_impossible_input(change, message):
    truth, detections = change(*random_case(np.random.RandomState(1)))
    with pytest.raises(ValueError, match=message):
        evaluate_sds(truth, CLASSES, detections)


def test_a_box_larger_than_any_image_is_refused_before_memory_is():
    truth = one_each(np.random.RandomState(0))
    detections = perfect(truth)
    detections[0] = dataclasses.replace(detections[0], boxes=[[0, 0, 1e7, 1e7]])
    with pytest.raises(EvaluationError, match="not image pixels"):
        evaluate_sds(truth, CLASSES, detections)


def test_hundreds_of_images_take_seconds():
    rng = np.random.RandomState(3)
    truth, detections = random_case(rng, num_images=300, height=256, width=320)
    detections = [f.select(np.repeat(np.arange(len(f)), 8)) for f in detections]
    start = time.perf_counter()
    evaluate_sds(truth, CLASSES, detections)
    assert sum(map(len, detections)) > 3000
    assert time.perf_counter() - start < 10


def test_the_evaluator_is_the_function_with_a_table(tmp_path):
    truth, detections = random_case(np.random.RandomState(5))
    evaluator = SdsEvaluator(truth, CLASSES, 0.3)
    scores = evaluator.evaluate(detections, str(tmp_path))
    assert scores == evaluate_sds(truth, CLASSES, detections, 0.3)
    assert {path.name for path in tmp_path.glob("*_det.npz")} == {f"{name}_det.npz" for name in CLASSES[1:]}
    assert evaluator.table(scores) == format_table(scores, CLASSES)
