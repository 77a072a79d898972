"""Box regression, clipping and filters against `bbox_transform.npz`."""

import re

import numpy as np
import pytest

from fullconv.lib.bbox.transform import clip_boxes, decode_boxes, encode_boxes, filter_boxes, remove_repetition


@pytest.fixture
def data(fcis_reference):
    return fcis_reference("bbox_transform")


def test_encode(data):
    np.testing.assert_array_equal(encode_boxes(data["ex"], data["gt"]), data["targets"])


def test_decode(data):
    np.testing.assert_array_equal(decode_boxes(data["ex"], data["deltas4"]), data["pred4"])
    decoded = decode_boxes(data["ex_f32"], data["deltas8_f32"])
    assert decoded.dtype == data["pred8"].dtype
    np.testing.assert_array_equal(decoded, data["pred8"])


def test_decode_nothing(data):
    columns = data["pred_empty"].shape[1]
    assert decode_boxes(np.zeros((0, 4)), np.zeros((0, columns))).shape == data["pred_empty"].shape


def test_roundtrip(data):
    finite = np.isfinite(data["targets"]).all(axis=1)
    decoded = decode_boxes(data["ex"][finite], data["targets"][finite])
    rows = len(data["roundtrip"])
    np.testing.assert_array_equal(decoded[:rows], data["roundtrip"])


def test_clip(data):
    np.testing.assert_array_equal(clip_boxes(data["pred4"], data["im_shape"]), data["clip4"])
    np.testing.assert_array_equal(clip_boxes(data["pred8"], data["im_shape"]), data["clip8"])
    clipped = clip_boxes(data["pred4"].astype(np.float32), data["im_shape"])
    assert clipped.dtype == data["clip4_f32"].dtype
    np.testing.assert_array_equal(clipped, data["clip4_f32"])


def test_filter(data):
    keys = [key for key in data if key.startswith("filter_min")]
    assert keys
    for key in keys:
        size = int(re.search(r"\d+", key).group())
        np.testing.assert_array_equal(filter_boxes(data["clip4"], size), data[key])


def test_remove_repetition(data):
    np.testing.assert_array_equal(remove_repetition(data["rep_boxes"]), np.sort(data["remove_repetition"]))
