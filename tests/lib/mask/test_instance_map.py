"""Instance maps: which numbers are objects."""

import numpy as np
import pytest

from fullconv.lib.mask.instance_map import instance_ids, instance_masks, mask_boxes


@pytest.mark.parametrize("kind, void", [(np.uint8, True), (np.uint16, False), (np.int32, False), (np.int64, False)])
def test_255_is_void_in_8_bits_only(kind, void):
    instances = np.array([[0, 1, 255], [254, 255, 0]], kind)
    assert instance_ids(instances).tolist() == ([1, 254] if void else [1, 254, 255])
    assert len(instance_masks(instances)) == len(instance_ids(instances))


def test_ids_beyond_8_bits_are_objects():
    instances = np.array([[0, 256], [257, 65535]], np.uint16)
    assert instance_ids(instances).tolist() == [256, 257, 65535]
    np.testing.assert_array_equal(mask_boxes(instance_masks(instances)), [[1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1]])
