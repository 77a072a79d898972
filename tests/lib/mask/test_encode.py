"""Pasting and encoding, on real annotations too."""

import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from fullconv.lib.mask.encode import encode_crop, encode_mask, encode_masks, mask_to_polygons, paste_mask
from fullconv.lib.mask.polygon import polygons_to_mask, segmentation_to_mask


def iou(a, b):
    return np.logical_and(a, b).sum() / np.logical_or(a, b).sum()


@pytest.fixture(scope="module")
def real_masks(data_dir):
    """Up to 300 masks with their boxes."""
    annotations = json.loads((data_dir / "coco128" / "annotations" / "instances_train2017.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in annotations["images"]}
    masks = []
    for annotation in annotations["annotations"][:300]:
        mask = segmentation_to_mask(annotation["segmentation"], *sizes[annotation["image_id"]])
        if mask.any():
            ys, xs = np.where(mask)
            masks.append((mask, np.array([xs.min(), ys.min(), xs.max(), ys.max()])))
    assert masks
    return masks


def test_network_resolution_round_trip(real_masks):
    """Rasterise, shrink to 21 x 21 as the network predicts it, paste back."""
    overlaps = []
    for mask, (x1, y1, x2, y2) in real_masks:
        crop = mask[y1 : y2 + 1, x1 : x2 + 1].astype(np.float32)
        small = cv2.resize(crop, (21, 21), interpolation=cv2.INTER_AREA)
        overlaps.append(iou(paste_mask(small, np.array([x1, y1, x2, y2]), *mask.shape, threshold=0.5), mask))
    assert np.mean(overlaps) > 0.94


def test_full_resolution_round_trip(real_masks):
    for mask, (x1, y1, x2, y2) in real_masks:
        crop = mask[y1 : y2 + 1, x1 : x2 + 1].astype(np.float32)
        np.testing.assert_array_equal(paste_mask(crop, np.array([x1, y1, x2, y2]), *mask.shape), mask)


def test_outlines_of_real_masks(real_masks):
    """Holes and one-pixel parts are all that an outline loses."""
    overlaps = [iou(polygons_to_mask(mask_to_polygons(mask), *mask.shape), mask) for mask, _ in real_masks]
    assert np.mean(overlaps) > 0.94


def test_codes_are_json_and_decode():
    mask = np.random.RandomState(0).rand(11, 13) > 0.5
    code = json.loads(json.dumps(encode_mask(mask)))
    np.testing.assert_array_equal(coco_mask.decode(code), mask)


@pytest.mark.parametrize("box", [[np.nan, 0, 5, 5], [8, 8, 3, 3], [0, 0, np.inf, 5]])
def test_impossible_box_is_empty(box):
    assert not paste_mask(np.ones((21, 21), dtype=np.float32), np.array(box), 10, 10).any()


def test_box_is_clipped_and_other_mask_sizes_work():
    codes = encode_masks(np.ones((1, 1, 14, 14)), np.array([[-5.0, 2, 40, 6, 0.9]]), 10, 12)
    expected = np.zeros((10, 12))
    expected[2:7] = 1
    np.testing.assert_array_equal(coco_mask.decode(codes)[:, :, 0], expected)


def test_as_many_boxes_as_masks():
    with pytest.raises(ValueError, match="2 and 1"):
        encode_masks(np.ones((1, 21, 21)), np.zeros((2, 4)), 10, 10)
    assert encode_masks(np.zeros((0, 21, 21)), np.zeros((0, 4)), 10, 10) == []


def test_crop_is_encoded_like_the_whole_mask():
    rng = np.random.RandomState(0)
    for _ in range(500):
        mask = rng.rand(*rng.randint(1, 8, 2)) < rng.choice([0.2, 0.5, 0.9, 1])
        if mask.any():
            ys, xs = np.where(mask)
            box = xs.min(), ys.min(), xs.max(), ys.max()
            crop = mask[box[1] : box[3] + 1, box[0] : box[2] + 1]
            assert encode_crop(crop, box, *mask.shape) == encode_mask(mask)


def test_real_crop_is_encoded_like_the_whole_mask(real_masks):
    for mask, (x1, y1, x2, y2) in real_masks[:50]:
        assert encode_crop(mask[y1 : y2 + 1, x1 : x2 + 1], (x1, y1, x2, y2), *mask.shape) == encode_mask(mask)
