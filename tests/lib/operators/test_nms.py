"""The NMS operator inside MXNet."""

import mxnet as mx
import numpy as np

from fullconv.lib.nms.nms import gpu_nms
from fullconv.lib.operators.nms import nms


def make_dets(n=200, seed=0):
    rng = np.random.RandomState(seed)
    low = rng.uniform(0, 100, (n, 2))
    return np.hstack([low, low + rng.uniform(5, 60, (n, 2)), rng.permutation(n)[:, None]]).astype(np.float32)


def test_arrays():
    dets = make_dets()
    expected = gpu_nms(dets, 0.5)
    keep, count = nms(mx.nd.array(dets), 0.5, 180)
    assert int(count.asscalar()) == len(expected)
    np.testing.assert_array_equal(keep.asnumpy()[: len(expected)], expected)
    assert (keep.asnumpy()[len(expected) :] == -1).all()


def test_symbol_has_no_gradient():
    dets = make_dets(30)
    outputs = nms(mx.sym.Variable("dets"), threshold=0.3, max_keep=5, name="nms")
    executor = mx.sym.Group([mx.sym.MakeLoss(outputs[0]), mx.sym.BlockGrad(outputs[1])]).simple_bind(
        mx.cpu(), dets=dets.shape
    )
    keep, count = executor.forward(is_train=True, dets=mx.nd.array(dets))
    executor.backward()
    np.testing.assert_array_equal(keep.asnumpy(), gpu_nms(dets, 0.3, max_keep=5))
    assert count.asscalar() == 5 and not executor.grad_dict["dets"].asnumpy().any()
