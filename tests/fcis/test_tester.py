"""From network outputs to detections."""

import numpy as np
import pytest

from fullconv.fcis import assembly
from fullconv.fcis import config as fcis_config
from fullconv.fcis.tester import RoiPredictions, detections, roi_predictions

CFG = "experiments/fcis/cfgs/resnet_v1_101_vocSDS_fcis_end2end.yaml"


def spec(*overrides):
    return assembly.result_spec(fcis_config.load(CFG, [str(word) for word in overrides]))


def outputs(rois, classes=4, seed=0):
    rng = np.random.RandomState(seed)
    scores = rng.rand(1, len(rois), classes).astype("float32")
    return {
        "rois": np.hstack([np.zeros((len(rois), 1)), rois]).astype("float32"),
        "cls_prob_reshape": scores / scores.sum(axis=2, keepdims=True),
        "seg_pred": rng.rand(len(rois), 2, 21, 21).astype("float32"),
    }


ROIS = np.array([[0, 0, 99, 99], [10, 10, 24, 200], [10, 10, 25, 25], [50, 60, 900, 400]])


def test_small_rois_are_dropped_in_input_pixels_only_in_the_second_round():
    two, one = (
        roi_predictions(outputs(ROIS), 2.0, (300, 400), spec("TEST.ITER", rounds, "TEST.MIN_DROP_SIZE", 16).min_size)
        for rounds in (2, 1)
    )
    assert (len(two.boxes), len(one.boxes)) == (3, 4)
    assert two.boxes.tolist() == [[0, 0, 49.5, 49.5], [5, 5, 12.5, 12.5], [25, 30, 399, 200]]


def test_the_mask_is_the_inside_channel():
    out = outputs(ROIS)
    predictions = roi_predictions(out, 1.0, (500, 1000))
    np.testing.assert_array_equal(predictions.masks, out["seg_pred"][:, 1])
    np.testing.assert_array_equal(predictions.scores, out["cls_prob_reshape"][0])


@pytest.mark.parametrize("merge", ["true", "false"])
def test_one_sure_object_is_one_detection(merge):
    mask = np.zeros((21, 21), "float32")
    mask[5:16, 5:16] = 1
    boxes = np.array([[20, 30, 61, 71], [21, 30, 62, 71], [200, 10, 230, 50]], "float32")
    scores = np.array([[0.1, 0.9, 0.0], [0.2, 0.8, 0.0], [0.9999, 0.0001, 0.0]], "float32")
    predictions = RoiPredictions(boxes, scores, np.stack([mask] * 3))
    found = detections(predictions, (100, 300), spec("TEST.USE_MASK_MERGE", merge))
    assert found.labels.tolist() == [1]
    assert found.scores[0] == pytest.approx(0.9) and found.masks.shape == (1, 21, 21)
    if merge == "true":
        assert found.boxes[0, 0] > 25, "voting shrinks the box to the mask"


@pytest.mark.parametrize("merge", ["true", "false"])
def test_no_rois_no_detections(merge):
    nothing = RoiPredictions(np.zeros((0, 4), "float32"), np.zeros((0, 3), "float32"), np.zeros((0, 21, 21), "float32"))
    found = detections(nothing, (100, 300), spec("TEST.USE_MASK_MERGE", merge))
    assert len(found) == 0 and found.masks.shape == (0, 21, 21)


@pytest.mark.parametrize("merge", ["true", "false"])
def test_classes_come_in_ascending_order_best_first_in_each(merge):
    """Evaluation sorts by score with numpy's unstable sort: another order of rows would move ties, and so scores."""
    rng = np.random.RandomState(0)
    corners = rng.randint(0, 200, (40, 2)).astype("float32")
    scores = rng.dirichlet(np.ones(5), 40).astype("float32")
    boxes = np.hstack([corners, corners + rng.randint(20, 90, (40, 2))]).astype("float32")
    masks = rng.rand(40, 21, 21).astype("float32")
    predictions = RoiPredictions(boxes, scores, masks)
    found = detections(predictions, (300, 300), spec("TEST.USE_MASK_MERGE", merge))
    assert len(found) > 20 and (np.diff(found.labels) >= 0).all() and set(found.labels) == {1, 2, 3, 4}
    for label in range(1, 5):
        assert (np.diff(found.of_class(label).scores) <= 0).all()
