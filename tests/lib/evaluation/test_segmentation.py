"""Segmentation scores against brute force, and the streaming evaluator."""

import numpy as np
import pytest
from PIL import Image

from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.segmentation.base import SegmentationSet
from fullconv.lib.evaluation.sanity import EvaluationError
from fullconv.lib.evaluation.segmentation import (
    SegmentationEvaluator,
    confusion_matrix,
    format_table,
    original_log,
    scores,
    softmax_loss,
)


def brute_force(truth, prediction, classes):
    """The four scores and the mean over present classes, pixel by pixel and class by class from the definitions."""
    pairs = [(t, p) for t, p in zip(truth.ravel().tolist(), prediction.ravel().tolist()) if 0 <= t < classes]
    accuracies, ious, present, weighted = [], [], [], 0.0
    for c in range(classes):
        of_class = [p for t, p in pairs if t == c]
        union = [1 for t, p in pairs if t == c or p == c]
        hits = of_class.count(c)
        if of_class:
            accuracies.append(hits / len(of_class))
            present.append(hits / len(union))
            weighted += len(of_class) * hits / len(union)
        if union:
            ious.append(hits / len(union))
    overall = sum(t == p for t, p in pairs) / len(pairs)
    mean = lambda values: sum(values) / len(values)  # noqa: E731
    return overall, mean(accuracies), mean(ious), mean(present), weighted / len(pairs)


def test_a_thousand_random_cases_against_brute_force():
    rng = np.random.RandomState(0)
    worst = 0.0
    for _ in range(1000):
        classes, shape = rng.randint(1, 9), tuple(rng.randint(1, 13, 2))
        truth = rng.randint(-1, classes + 2, shape)
        truth[rng.rand(*shape) < 0.1] = 255
        truth[truth == rng.randint(classes)] = 255  # now and then a class is absent
        truth.flat[0] = rng.randint(classes)
        prediction = rng.randint(0, classes, shape)
        result = scores(confusion_matrix(truth, prediction, classes))
        ours = result.overall_accuracy, result.mean_accuracy, result.mean_iu, result.mean_iu_present, result.fwavacc
        worst = max(worst, np.abs(np.subtract(ours, brute_force(truth, prediction, classes))).max())
    assert worst <= 1e-9


def test_a_perfect_prediction_scores_one():
    truth = np.random.RandomState(1).randint(0, 5, (9, 9))
    result = scores(confusion_matrix(truth, truth, 5))
    assert list(result.as_dict(list("abcde")).values()) == pytest.approx([1.0] * 15)


def test_absent_classes_both_ways():
    truth, prediction = np.array([[0, 0, 1, 1]]), np.array([[0, 0, 1, 2]])
    result = scores(confusion_matrix(truth, prediction, 4))
    assert result.mean_iu == pytest.approx((1 + 0.5 + 0) / 3), "class 2 is only predicted and counts 0"
    assert result.mean_iu_present == pytest.approx((1 + 0.5) / 2)
    assert np.isnan(result.iu[3]) and result.absent(list("abcd")) == ["c", "d"]
    table = format_table(result, list("abcd"))
    assert "2 of 4 classes do not occur in the truth: c (predicted), d." in table and "n/a" in table
    assert "75.00" in table and "50.00" in table


def test_nothing_labelled_is_nan_not_a_crash():
    result = scores(confusion_matrix(np.full((2, 3), 255), np.zeros((2, 3), int), 3))
    assert all(np.isnan(v) for v in result.as_dict(list("abc")).values())
    assert "n/a" in format_table(result, list("abc"))


def test_wrong_predictions_are_refused():
    with pytest.raises(EvaluationError, match="predict at the image's original size"):
        confusion_matrix(np.zeros((2, 3), int), np.zeros((3, 2), int), 3)
    with pytest.raises(EvaluationError, match="run from 0 to 7, but classes are 0 to 2"):
        confusion_matrix(np.zeros((1, 2), int), np.array([[0, 7]]), 3)
    ignored = confusion_matrix(np.full((1, 1), 255), np.array([[7]]), 3)
    assert ignored.sum() == 0, "what is predicted on void does not matter"


def test_softmax_loss_of_one_pixel():
    score = np.log(np.array([0.2, 0.5, 0.3]))[:, None, None] + 1000
    assert softmax_loss(score, np.array([[1]])) == pytest.approx(-np.log(0.5))
    assert softmax_loss(score, np.array([[255]])) == 0


def test_original_log_order():
    result = scores(np.eye(2))
    lines = original_log(result, 3.5, 100, "now")
    assert lines[0] == ">>> now Iteration 100 loss 3.5" and lines[4] == ">>> now Iteration 100 fwavacc 1.0"


class TwoTasks(SegmentationSet):
    """Two images with labels for two tasks, in memory."""

    def __init__(self):
        super().__init__("two", ["a", "folder/b"], {"sem": ["x", "y", "z"], "geo": ["u", "v"]}, {"data": np.zeros(3)})
        rng = np.random.RandomState(0)
        self.truth = [{"sem": rng.randint(0, 3, s), "geo": rng.randint(0, 2, s)} for s in ((4, 5), (6, 3))]
        self.truth[0]["geo"][0, 0] = 255

    def read_label(self, index, task="label", check=True):
        return self.truth[index][task]


def test_streaming_evaluation_of_two_tasks(tmp_path):
    data = TwoTasks()
    rng = np.random.RandomState(1)
    evaluator = SegmentationEvaluator(data, str(tmp_path / "out"))
    predictions = []
    for index in range(2):
        shape = data.truth[index]["sem"].shape
        predictions.append({"sem": rng.randint(0, 3, shape), "geo": rng.randint(0, 2, shape)})
        evaluator.add(index, predictions[-1], {"sem": 2.0 + index, "geo": 1.0})
    result = evaluator.result()
    for task, classes in data.tasks.items():
        truth = np.concatenate([t[task].ravel() for t in data.truth])
        predicted = np.concatenate([p[task].ravel() for p in predictions])
        expected = scores(confusion_matrix(truth, predicted, len(classes)))
        assert result[task].as_dict(classes) == expected.as_dict(classes)
        with Image.open(tmp_path / "out" / task / "folder" / "b.png") as picture:
            assert picture.mode == "P" and np.array_equal(np.array(picture), predictions[1][task])
    assert evaluator.mean_loss("sem") == 2.5 and evaluator.mean_loss("geo") == 1.0


def test_evaluator_errors_name_the_image():
    evaluator = SegmentationEvaluator(TwoTasks())
    with pytest.raises(EvaluationError, match="no image was evaluated"):
        evaluator.result()
    with pytest.raises(EvaluationError, match="image folder/b, sem: the truth is .6, 3. but the prediction .2, 2."):
        evaluator.add(1, {"geo": np.zeros((6, 3), int), "sem": np.zeros((2, 2), int)})
    assert evaluator.matrices["geo"].sum() == 0, "an image counts for all its tasks or for none"
    with pytest.raises((DatasetError, KeyError)):
        evaluator.add(0, {"depth": np.zeros((4, 5), int)})
