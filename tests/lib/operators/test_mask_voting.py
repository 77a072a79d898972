"""The mask voting operator inside MXNet."""

import mxnet as mx
import numpy as np

from benchmarks.mask_voting import make_rois
from fullconv.lib.mask.voting import mask_voting as vote
from fullconv.lib.operators.mask_voting import mask_voting


def test_equals_library():
    rois = make_rois(80, 5, 120, 160, objects=4)
    boxes, masks = vote(*rois, 5, 20, 160, 120, rule="gpu")
    dets, out_masks, count = mask_voting(
        *map(mx.nd.array, rois), max_per_image=20, im_width=160, im_height=120, capacity=32
    )
    dets, valid = dets.asnumpy(), dets.asnumpy()[:, 0] > 0
    np.testing.assert_array_equal(dets[valid, 0], np.repeat(np.arange(5), list(map(len, boxes))))
    np.testing.assert_array_equal(dets[valid, 1:], np.concatenate(boxes))
    np.testing.assert_array_equal(out_masks.asnumpy()[valid], np.concatenate(masks))
    assert count.asscalar() >= valid.sum()
