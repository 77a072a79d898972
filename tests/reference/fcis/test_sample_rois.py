"""The proposal annotator against `sample_rois.npz`: sampling, labels, box and mask targets, bit for bit.

Settings that the file does not record are those of the published configuration that a case is named after.
"""

import mxnet as mx
import numpy as np

from fullconv.lib.operators.proposal_annotator import proposal_annotator

OUTPUTS = ("rois", "label", "bbox_target", "bbox_weight", "mask_target")
SETTINGS = {"gapall": {"gap_select_from_all": True}, "ignoregap": {"ignore_gap": True}}


def settings_of(name):
    """COCO takes background from IoU 0, VOC from 0.1."""
    settings = {"bg_thresh_lo": 0.0 if name.startswith("coco") else 0.1}
    for word in name.split("_"):
        settings.update(SETTINGS.get(word, {}))
    return settings


def test_targets(fcis_reference):
    data = fcis_reference("sample_rois")
    names = [key[: -len("_batch_rois")] for key in data if key.endswith("_batch_rois")]
    assert names
    for name in names:
        rois, boxes, masks = (data[f"{name}_{key}"].astype(np.float32) for key in ("rois", "gt_boxes", "gt_masks"))
        seed = np.array([[data[f"{name}_seed"]]], dtype=np.float32)
        outputs = proposal_annotator(
            *map(mx.nd.array, (rois, boxes[None], masks[None], seed)),
            batch_rois=int(data[f"{name}_batch_rois"]),
            num_reg_classes=data[f"{name}_out_bbox_target"].shape[1] // 4,
            mask_size=data[f"{name}_out_mask_target"].shape[-1],
            **settings_of(name),
        )
        for key, output in zip(OUTPUTS, outputs):
            expected = data[f"{name}_out_{key}"].astype(np.float32)
            np.testing.assert_array_equal(output.asnumpy(), expected, err_msg=f"{name} {key}")


def test_mask_targets(fcis_reference):
    """One roi with one ground truth each: `mt_bin`, wherever the roi is foreground under a zero threshold."""
    data = fcis_reference("sample_rois")
    size = data["mt_bin"].shape[-1]
    for roi, index, expected in zip(data["mt_ex"], data["mt_gt_index"], data["mt_bin"]):
        box, mask = data["mt_gt"][index].astype(np.float32), data["mt_gt_masks"][index].astype(np.float32)
        outputs = proposal_annotator(
            mx.nd.array([[0, *roi]]),
            mx.nd.array(box[None, None]),
            mx.nd.array(mask[None, None]),
            mx.nd.zeros((1, 1)),
            batch_rois=-1,
            fg_thresh=0,
            mask_size=size,
        )
        np.testing.assert_array_equal(outputs[4].asnumpy()[0, 0], expected, err_msg=f"roi {roi} gt {index}")
