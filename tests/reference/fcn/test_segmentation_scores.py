"""Confusion matrices, scores, loss and the printed lines against the original's score.py."""

import re

import numpy as np
import pytest

from fullconv.lib.evaluation.segmentation import confusion_matrix, original_log, scores, softmax_loss


@pytest.fixture(scope="module")
def recorded(reference_dir):
    with np.load(reference_dir / "fcn" / "metrics.npz") as arrays:
        return dict(arrays)


def images(recorded):
    count = sum(re.fullmatch(r"score\d+", key) is not None for key in recorded)
    return [(recorded[f"score{i}"], recorded[f"label{i}"]) for i in range(count)]


def test_confusion_matrix_of_every_image(recorded):
    total = 0
    for index, (score, label) in enumerate(images(recorded)):
        matrix = confusion_matrix(label, score.argmax(axis=0), len(score))
        assert np.array_equal(matrix, recorded[f"hist{index}"])
        total = total + matrix
    assert np.array_equal(total, recorded["hist"])


def test_fast_hist_drops_void_negative_and_too_large(recorded):
    n = int(recorded["fh_n"])
    assert np.array_equal(confusion_matrix(recorded["fh_a"], recorded["fh_b"], n), recorded["fh_hist"])


def test_all_ignored(recorded):
    n = len(recorded["fh_allign"])
    matrix = confusion_matrix(np.full((3, 5), 255), np.zeros((3, 5), int), n)
    assert np.array_equal(matrix, recorded["fh_allign"])


def test_the_four_scores(recorded):
    result = scores(recorded["hist"])
    names = {"overall_accuracy": "overall_accuracy", "mean_accuracy": "mean_accuracy", "mean_iu": "mean_IU"}
    for field, key in {**names, "fwavacc": "fwavacc"}.items():
        assert getattr(result, field) == pytest.approx(float(recorded[f"m_{key}"]), abs=1e-12), key


def test_loss_is_the_mean_over_images_of_the_sum_over_pixels(recorded):
    losses = [softmax_loss(score, label) for score, label in images(recorded)]
    assert np.mean(losses) == pytest.approx(float(recorded["m_loss"]), rel=1e-6)


def test_printed_lines(recorded, reference_dir):
    printed = (reference_dir / "fcn" / "metrics_stdout.txt").read_text().splitlines()
    printed = [line for line in printed if "Iteration" in line]
    head = re.match(r">>> (.*?) Iteration (\d+) ", printed[0])
    loss = float(np.mean([softmax_loss(score, label) for score, label in images(recorded)]))
    lines = original_log(scores(recorded["hist"]), loss, int(head.group(2)), head.group(1))
    assert len(lines) == len(printed)
    for line, expected in zip(lines, printed):
        (text, value), (expected_text, expected_value) = line.rsplit(" ", 1), expected.rsplit(" ", 1)
        assert text == expected_text
        assert float(value) == pytest.approx(float(expected_value), rel=1e-6)
