"""The box parser against `box_parser.npz`: class-agnostic with the published standard deviations, and by best class."""

import mxnet as mx
import numpy as np

from fullconv.lib.operators.box_parser import box_parser

# How each output was made: the recorded file's README.
SETTINGS = {
    "agnostic": {"means": (0, 0, 0, 0), "stds": (0.2, 0.2, 0.5, 0.5), "class_agnostic": True},
    "specific": {"means": (0.1, 0, 0, 0), "stds": (0.1, 0.1, 0.2, 0.2), "class_agnostic": False},
}


def delta_of(data, outcome):
    """Class-specific deltas have four columns per class."""
    wide = {value.shape[1] == 4 * data["cls_prob"].shape[1]: value for key, value in data.items() if "delta" in key}
    return wide[outcome == "specific"]


def test_second_stage_rois(fcis_reference):
    data = fcis_reference("box_parser")
    outcomes = [key[len("out_") :] for key in data if key.startswith("out_")]
    assert outcomes
    for outcome in outcomes:
        inputs = (data["bottom_rois"], delta_of(data, outcome), data["cls_prob"], data["im_info"])
        rois = box_parser(*map(mx.nd.array, inputs), **SETTINGS[outcome])
        np.testing.assert_array_equal(rois.asnumpy(), data[f"out_{outcome}"], err_msg=outcome)
