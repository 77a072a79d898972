"""Second-stage rois against a plain numpy version, through the C interface and through MXNet."""

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.operator_cxx import c_library

INPUTS = ("rois", "bbox_delta", "cls_prob", "im_info")
MEANS, STDS = (0.1, 0.0, -0.1, 0.0), (0.2, 0.1, 0.5, 0.25)


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def run_c(inputs, class_agnostic=True):
    rois, delta, prob, info = (np.ascontiguousarray(inputs[key], np.float32) for key in INPUTS)
    out, numbers = np.full_like(rois, np.nan), np.array([*MEANS, *STDS], np.float32)
    tensors = map(pointer, (rois, delta, prob, info, out))
    sizes = (len(rois), delta.shape[1], prob.shape[1], len(info))
    error = c_library().fullconv_box_parser_fwd_cpu(*tensors, *sizes, pointer(numbers), int(class_agnostic), None)
    assert error == 0
    return out


def reference(inputs, class_agnostic=True):
    rois, delta, prob, info = (inputs[key] for key in INPUTS)
    group = np.ones(len(rois), int) if class_agnostic else prob[:, 1:].argmax(axis=1) + 1
    d = np.stack([row[4 * g : 4 * g + 4] for row, g in zip(delta, group)]) * np.float32(STDS) + np.float32(MEANS)
    boxes = rois[:, 1:].astype(float)
    size = boxes[:, 2:] - boxes[:, :2] + 1
    centre = d[:, :2] * size + (boxes[:, :2] + 0.5 * (size - 1))
    size = np.exp(d[:, 2:]) * size
    limit = np.tile(info[rois[:, 0].astype(int)][:, [1, 0]] - 1, 2)
    boxes = np.clip(np.hstack([centre - 0.5 * (size - 1), centre + 0.5 * (size - 1)]), 0, limit)
    return np.hstack([rois[:, :1], boxes]).astype(np.float32)


def make_inputs(random, rois=30, classes=4, images=2, spread=1.0):
    low = random.rand(rois, 2) * 80 - 10
    boxes = np.hstack([low, low + random.rand(rois, 2) * 50])
    values = (
        np.insert(boxes, 0, random.randint(images, size=rois), axis=1),
        random.randn(rois, 4 * classes) * spread,
        np.round(random.rand(rois, classes), 1),
        random.randint(20, 100, (images, 3)),
    )
    return {key: np.asarray(value, np.float32) for key, value in zip(INPUTS, values)}


@settings(max_examples=250, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 60),
    st.integers(2, 6),
    st.integers(1, 3),
    st.sampled_from([0.0, 1.0, 30.0]),
    st.booleans(),
)
def test_equals_numpy(seed, rois, classes, images, spread, class_agnostic):
    inputs = make_inputs(np.random.RandomState(seed), rois, classes, images, spread)
    np.testing.assert_array_equal(run_c(inputs, class_agnostic), reference(inputs, class_agnostic))


@pytest.mark.parametrize("batch_index", [-1, 2, 1e9, np.nan, np.inf])
def test_bad_batch_index_gives_an_empty_box(batch_index):
    inputs = make_inputs(np.random.RandomState(0))
    inputs["rois"][3, 0] = batch_index
    np.testing.assert_array_equal(run_c(inputs)[3], np.float32([batch_index, 0, 0, 0, 0]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("class_agnostic", [True, False])
def test_senseless_values_stay_in_bounds(value, class_agnostic):
    random = np.random.RandomState(1)
    for key in INPUTS:
        inputs = make_inputs(random)
        inputs[key][random.rand(*inputs[key].shape) < 0.3] = value
        assert np.isfinite(run_c(inputs, class_agnostic)[:, 1:]).all()


@pytest.mark.parametrize("grad_req", ["write", "add", "null"])
@pytest.mark.parametrize("class_agnostic", [True, False])
def test_mxnet_forward_and_zero_gradient(grad_req, class_agnostic):
    import mxnet as mx

    from fullconv.lib.operators.box_parser import box_parser

    inputs = make_inputs(np.random.RandomState(2))
    options = {"means": MEANS, "stds": STDS, "class_agnostic": class_agnostic}
    symbol = box_parser(*map(mx.sym.Variable, INPUTS), name="parser", **options)
    arrays = {key: mx.nd.array(value) for key, value in inputs.items()}
    grads = {key: mx.nd.ones_like(value) for key, value in arrays.items()}
    executor = symbol.bind(mx.cpu(), arrays, args_grad=grads, grad_req=grad_req)
    rois = executor.forward(is_train=True)[0]
    np.testing.assert_array_equal(rois.asnumpy(), reference(inputs, class_agnostic))
    executor.backward([mx.nd.ones_like(rois)])
    for grad in grads.values():
        assert (grad.asnumpy() == (0 if grad_req == "write" else 1)).all()


@pytest.mark.parametrize(
    "change, words",
    [
        ({"means": (0, 0)}, "means"),
        ({"stds": (1,) * 5}, "stds"),
        ({"class_agnostic": "maybe"}, "class_agnostic='maybe'"),
    ],
)
def test_mxnet_errors_name_operator_and_value(change, words):
    import mxnet as mx

    from fullconv.lib.operators.box_parser import box_parser

    inputs = make_inputs(np.random.RandomState(2))
    with pytest.raises(mx.MXNetError, match=f"(?s)fullconv_box_parser: .*{words}"):
        box_parser(*(mx.nd.array(inputs[key]) for key in INPUTS), **change).asnumpy()


def test_mxnet_too_few_columns():
    import mxnet as mx

    from fullconv.lib.operators.box_parser import box_parser

    inputs = make_inputs(np.random.RandomState(2))
    inputs["bbox_delta"] = inputs["bbox_delta"][:, :8]
    with pytest.raises(mx.MXNetError, match="needs 4 columns for each of 4 groups"):
        box_parser(*(mx.nd.array(inputs[key]) for key in INPUTS), class_agnostic=False).asnumpy()
