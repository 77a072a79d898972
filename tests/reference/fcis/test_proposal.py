"""The proposal operator against `proposal.npz`: rois and scores bit for bit, random padding included."""

import mxnet as mx
import numpy as np

from fullconv.lib.operators.proposal import proposal


def cases_of(data, suffix):
    names = [key[: -len(suffix)] for key in data if key.endswith(suffix)]
    assert names
    return names


def test_rois_and_scores(fcis_reference):
    data, anchors = fcis_reference("proposal"), fcis_reference("anchors")
    for name in cases_of(data, "_args"):
        pre_nms, post_nms, threshold, min_size, seed = data[f"{name}_args"]
        inputs = [data[f"{name}_{key}"] for key in ("cls_prob", "bbox_pred", "im_info")] + [[[seed]]]
        rois, score = proposal(
            *map(mx.nd.array, inputs),
            scales=data[f"{name}_scales"],
            ratios=anchors["ratios"],
            rpn_pre_nms_top_n=int(pre_nms),
            rpn_post_nms_top_n=int(post_nms),
            threshold=threshold,
            rpn_min_size=min_size,
            output_score=True,
        )
        np.testing.assert_array_equal(rois.asnumpy(), data[f"{name}_rois"], err_msg=name)
        np.testing.assert_array_equal(score.asnumpy(), data[f"{name}_scores"], err_msg=name)


def test_padding_is_where_the_draws_were(fcis_reference):
    """Boxes before the recorded draws are distinct; each drawn number always stands for the same box."""
    data = fcis_reference("proposal")
    for name in cases_of(data, "_args"):
        rois, drawn = data[f"{name}_rois"], data[f"{name}_rng_out"]
        kept = len(rois) - len(drawn)
        boxes = {int(number): tuple(row) for number, row in zip(drawn, rois[kept:])}
        assert all(boxes[int(number)] == tuple(row) for number, row in zip(drawn, rois[kept:]))
        assert set(boxes.values()) <= {tuple(row) for row in rois[:kept]}
