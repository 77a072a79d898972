"""Rasterising, resizing, pasting and encoding against `masks.npz`.

The recorded masks come from other versions of OpenCV and scikit-image, so pixels on an outline may differ: at
most one in a thousand per image.
"""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from fullconv.lib.mask.encode import encode_masks, paste_mask
from fullconv.lib.mask.polygon import polygons_to_mask, rle_to_mask
from fullconv.lib.mask.transform import resize_masks

BOUNDARY = 1e-3


@pytest.fixture
def data(fcis_reference):
    return fcis_reference("masks")


def assert_same_pixels(masks, expected):
    different = np.asarray(masks, dtype=bool) != np.asarray(expected, dtype=bool)
    assert different.mean() <= BOUNDARY, f"{different.sum()} pixels differ"


def polygons_of(data, index):
    """poly1 with any second part poly1b, poly1c, ..."""
    name = f"poly{index}"
    return [data[key] for key in sorted(data) if key.startswith(name)]


def test_rasterised_annotations(data):
    height, width = data["hw"]
    expected = data["coco2voc"]
    masks = [polygons_to_mask(polygons_of(data, index), height, width) for index in range(len(expected) - 1)]
    masks.append(rle_to_mask({"size": [height, width], "counts": data["rle_counts"].tolist()}, height, width))
    assert_same_pixels(masks, expected)


def test_resized_ground_truth(data):
    expected = data["gt_masks_resized"]
    resized = resize_masks(data["coco2voc"].astype(bool), expected.shape[1:])
    np.testing.assert_allclose(resized, expected, atol=1e-6)


def test_pasted_detections(data):
    expected = data["voc2coco_decoded"]
    height, width = expected.shape[:2]
    pairs = zip(data["pred_masks"], data["pred_boxes"])
    masks = [paste_mask(mask, box, height, width) for mask, box in pairs]
    assert_same_pixels(np.stack(masks, axis=2), expected)


def test_encoded_detections(data):
    height, width = data["voc2coco_decoded"].shape[:2]
    codes = encode_masks(data["pred_masks"], data["pred_boxes"], height, width)
    recorded = [{"size": [height, width], "counts": bytes(counts)} for counts in data["voc2coco_counts"]]
    assert_same_pixels(coco_mask.decode(codes), coco_mask.decode(recorded))


def test_encoding_is_column_major(data):
    """encode_counts_mask0 holds the run lengths of the first rasterised mask."""
    mask = data["coco2voc"][0]
    counts = data["encode_counts_mask0"].tolist()
    again = rle_to_mask({"size": list(mask.shape), "counts": counts}, *mask.shape)
    np.testing.assert_array_equal(again, mask.astype(bool))
