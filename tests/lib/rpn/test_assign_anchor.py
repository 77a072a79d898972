"""RPN targets: the cases the recorded files do not hold."""

import numpy as np
import pytest

from fullconv.lib.bbox.overlaps import bbox_overlaps
from fullconv.lib.rpn.anchors import anchor_grid, generate_anchors
from fullconv.lib.rpn.assign_anchor import AnchorConfig, assign_anchor

IM_INFO = np.array([[160, 240, 1.0]], dtype=np.float32)
CFG = AnchorConfig(scales=(2.0, 4.0))


def assign(gt, cfg=CFG, feat=(10, 15), im_info=IM_INFO, seed=0):
    return assign_anchor(
        feat, np.asarray(gt, dtype=np.float32).reshape(-1, 5), im_info, np.random.RandomState(seed), cfg
    )


def test_labels_follow_overlap():
    gt = np.array([[20, 20, 83, 83, 1], [100, 40, 190, 90, 2]], dtype=np.float32)
    label = assign(gt, CFG._replace(batch_size=10**6))["label"]
    anchors = anchor_grid(generate_anchors(16, CFG.ratios, CFG.scales), 10, 15, 16)
    inside = (anchors[:, :2] >= 0).all(1) & (anchors[:, 2] < 240) & (anchors[:, 3] < 160)
    overlaps = bbox_overlaps(anchors, gt)
    flat = label.reshape(6, 10, 15).transpose(1, 2, 0).reshape(-1)
    assert (flat[~inside] == -1).all()
    assert (flat[inside & (overlaps.max(1) >= 0.7)] == 1).all()
    best = overlaps[inside].max(axis=0)
    assert (flat[inside & (overlaps == best).any(axis=1)] == 1).all()
    negative = inside & (overlaps.max(1) < 0.3) & ~(overlaps == best).any(axis=1)
    assert (flat[negative] == 0).all()


def test_batch_is_filled_and_weights_sit_on_positives():
    targets = assign([[20, 20, 83, 83, 1]], CFG._replace(batch_size=32))
    label = targets["label"].reshape(6, 10, 15)
    assert (label >= 0).sum() == 32 and (label == 1).sum() <= 16
    weights = targets["bbox_weight"].reshape(6, 4, 10, 15)
    np.testing.assert_array_equal(weights, np.broadcast_to((label == 1)[:, None], weights.shape))


def test_same_seed_same_labels():
    first, second = (assign([[20, 20, 83, 83, 1]], seed=4) for _ in range(2))
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])


@pytest.mark.parametrize("gt", [[], [[2, 2, 10, 10, 1]]])
def test_no_anchor_inside(gt):
    targets = assign(gt, AnchorConfig(), feat=(1, 1), im_info=np.array([16, 16, 1.0]))
    assert (targets["label"] == -1).all() and not targets["bbox_weight"].any()
    assert targets["bbox_target"].shape == (1, 36, 1, 1)


def test_without_gt_all_is_background():
    label = assign([])["label"]
    assert set(np.unique(label)) == {-1, 0} and (label == 0).sum() == 256


def test_wrong_gt():
    with pytest.raises(ValueError, match=r"\(n, 5\)"):
        assign_anchor((2, 2), np.zeros((1, 4)), IM_INFO, np.random.RandomState(0))
