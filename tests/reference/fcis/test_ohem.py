"""The OHEM annotator against `ohem.npz`.

Case "ties" has equal losses, among which numpy's unstable argsort decided in the recording: there the kept losses are
compared, everywhere else the outputs.
"""

import mxnet as mx
import numpy as np

from fullconv.lib.operators.box_annotator_ohem import box_annotator_ohem

INPUTS = ("cls_score", "seg_pred", "bbox_pred", "labels", "mask_targets", "bbox_targets", "bbox_weights")
OUTPUTS = ("labels", "mask_targets", "bbox_weights")


def annotate(case):
    inputs = [mx.nd.array(case[key].astype(np.float32)) for key in INPUTS]
    outputs = box_annotator_ohem(*inputs, roi_per_img=int(case["roi_per_img"]))
    return {key: output.asnumpy() for key, output in zip(OUTPUTS, outputs)}


def cases(data):
    names = [key[: -len("_roi_per_img")] for key in data if key.endswith("_roi_per_img")]
    assert names
    return {name: {k[len(name) + 1 :]: v for k, v in data.items() if k.startswith(name + "_")} for name in names}


def cross_entropy(score, label):
    """Over axis 1, zero where the label is -1."""
    log_sum = np.log(np.exp(score.astype(float)).sum(axis=1))
    index = np.maximum(label.astype(int), 0)[:, None]
    return np.where(label == -1, 0, log_sum - np.take_along_axis(score, index, axis=1)[:, 0])


def losses(case):
    difference = np.abs(case["bbox_pred"] - case["bbox_targets"]).astype(float)
    smooth = np.where(difference < 1, 0.5 * difference**2, difference - 0.5)
    mask = cross_entropy(case["seg_pred"], case["mask_targets"][:, 0]).mean(axis=(1, 2))
    box = (case["bbox_weights"] * smooth).sum(axis=1)
    return cross_entropy(case["cls_score"], case["labels"]) + 10 * mask + box


def test_targets(fcis_reference):
    for name, case in cases(fcis_reference("ohem")).items():
        expected = {key: case[f"out_{key}"].astype(np.float32) for key in OUTPUTS}
        found = annotate(case)
        kept = [np.sort(losses(case)[labels != -1]) for labels in (found["labels"], expected["labels"])]
        np.testing.assert_allclose(*kept, rtol=1e-6, err_msg=name)
        for key in OUTPUTS:
            assert found[key].shape == expected[key].shape and found[key].dtype == np.float32
            if name != "ties":
                np.testing.assert_array_equal(found[key], expected[key], err_msg=f"{name} {key}")
