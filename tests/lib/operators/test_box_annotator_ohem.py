"""Hard example mining against a plain numpy version, through the C interface and through MXNet."""

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.operator_cxx import c_library

INPUTS = ("cls_score", "seg_pred", "bbox_pred", "labels", "mask_targets", "bbox_targets", "bbox_weights")
LOSS_WEIGHT = (1.0, 10.0, 1.0)


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def run_c(inputs, keep, images=1):
    """(labels, mask targets, box weights) of the CPU kernel; outputs and scratch are filled with garbage first."""
    arrays = [np.ascontiguousarray(inputs[key], np.float32) for key in INPUTS]
    rois, classes, area = *arrays[0].shape, int(np.prod(arrays[1].shape[2:]))
    library = c_library()
    library.fullconv_ohem_workspace.restype = ctypes.c_size_t
    workspace = np.full(library.fullconv_ohem_workspace(rois, images), 0xAB, np.uint8)
    outputs = [np.full_like(inputs[key], np.nan) for key in ("labels", "mask_targets", "bbox_weights")]
    sizes = (rois, images, classes, area, arrays[2].shape[1], keep)
    weights = map(ctypes.c_double, LOSS_WEIGHT)
    tensors = map(pointer, arrays + outputs)
    assert library.fullconv_ohem_fwd_cpu(*tensors, *sizes, *weights, pointer(workspace), None) == 0
    return outputs


def cross_entropy(score, label, epsilon):
    """-log(softmax[label] + epsilon) over axis 1; 0 where the label is no class."""
    score = score.astype(float)
    prob = np.exp(score - score.max(axis=1, keepdims=True))
    prob /= prob.sum(axis=1, keepdims=True)
    valid = (label >= 0) & (label < score.shape[1])
    index = np.where(valid, label, 0).astype(int)[:, None]
    return np.where(valid, -np.log(np.take_along_axis(prob, index, axis=1)[:, 0] + epsilon), 0)


def losses(inputs):
    x = np.abs(inputs["bbox_pred"].astype(float) - inputs["bbox_targets"])
    box = (inputs["bbox_weights"] * np.where(x < 1, 0.5 * x**2, x - 0.5)).sum(axis=1)
    mask = cross_entropy(inputs["seg_pred"], inputs["mask_targets"][:, 0], 2e-14).mean(axis=(1, 2))
    parts = (cross_entropy(inputs["cls_score"], inputs["labels"], 1e-14), mask, box)
    return sum(weight * part for weight, part in zip(LOSS_WEIGHT, parts)).astype(np.float32)


def kept_rows(found, expected_loss, keep):
    """Checks that the kept rows are the hardest up to rounding, and returns their mask."""
    labels = found[0].ravel()
    kept = labels != -1
    order = np.argsort(expected_loss, kind="stable")[::-1]
    hardest = expected_loss[order[: min(keep, len(order))]]
    np.testing.assert_allclose(np.sort(expected_loss[kept])[::-1], hardest, rtol=2e-6, atol=1e-6)
    return kept


def make_inputs(random, rois, classes=3, size=3, groups=2):
    labels = random.randint(0, classes, rois).astype(np.float32)
    mask = np.where(labels[:, None, None, None] > 0, random.randint(0, 2, (rois, 1, size, size)), -1)
    weights = np.repeat(random.rand(rois, groups) < 0.5, 4, axis=1)
    values = (
        random.randn(rois, classes) * 3,
        random.randn(rois, 2, size, size) * 3,
        random.randn(rois, 4 * groups),
        labels,
        mask,
        random.randn(rois, 4 * groups) * 2,
        weights,
    )
    return {key: np.asarray(value, np.float32) for key, value in zip(INPUTS, values)}


@settings(max_examples=250, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 60),
    st.integers(1, 3),
    st.integers(2, 5),
    st.sampled_from([1, 3, 7]),
    st.sampled_from([1, 5, 128]),
)
def test_equals_numpy(seed, per_image, images, classes, size, keep):
    inputs = make_inputs(np.random.RandomState(seed), per_image * images, classes, size)
    loss = losses(inputs)
    labels, masks, weights = run_c(inputs, keep, images)
    for i in range(images):
        rows = slice(i * per_image, (i + 1) * per_image)
        kept = kept_rows([labels[rows]], loss[rows], keep)
        for found, key, ignored in ((labels, "labels", -1), (masks, "mask_targets", -1), (weights, "bbox_weights", 0)):
            wanted = np.where(kept.reshape(-1, *[1] * (found.ndim - 1)), inputs[key][rows], ignored)
            np.testing.assert_array_equal(found[rows], wanted)


def test_of_equal_losses_the_last_stays():
    one = make_inputs(np.random.RandomState(0), 1)
    one["labels"][:] = 1
    inputs = {key: np.repeat(value, 10, axis=0) for key, value in one.items()}
    labels, _, _ = run_c(inputs, 4)
    np.testing.assert_array_equal(labels, [-1] * 6 + [1] * 4)


def test_images_do_not_influence_each_other():
    inputs = make_inputs(np.random.RandomState(1), 60)
    together = run_c(inputs, 7, images=3)
    for i in range(3):
        alone = run_c({key: value[20 * i : 20 * i + 20] for key, value in inputs.items()}, 7)
        for one, all_three in zip(alone, together):
            np.testing.assert_array_equal(one, all_three[20 * i : 20 * i + 20])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -7, 0.5])
def test_senseless_values_stay_in_bounds(value):
    random = np.random.RandomState(2)
    for key in INPUTS:
        inputs = make_inputs(random, 30)
        inputs[key][random.rand(*inputs[key].shape) < 0.3] = value
        labels, masks, weights = run_c(inputs, 10)
        dropped = (masks.reshape(30, -1) == -1).all(axis=1) & (labels == -1) & (weights == 0).all(axis=1)
        assert dropped.sum() >= 20


def test_nan_losses_come_first():
    inputs = make_inputs(np.random.RandomState(3), 30)
    inputs["labels"][:] = 1
    inputs["bbox_weights"][:] = 1
    inputs["bbox_pred"][[4, 9]] = np.nan
    np.testing.assert_array_equal(np.where(run_c(inputs, 2)[0] != -1)[0], [4, 9])


@pytest.mark.parametrize("grad_req", ["write", "add", "null"])
@pytest.mark.parametrize("label_shape", [(-1,), (1, -1), (-1, 1)])
def test_mxnet_forward_and_zero_gradient(grad_req, label_shape):
    import mxnet as mx

    from fullconv.lib.operators.box_annotator_ohem import box_annotator_ohem

    inputs = make_inputs(np.random.RandomState(4), 40)
    expected = run_c(inputs, 6, images=2)
    outputs = box_annotator_ohem(*map(mx.sym.Variable, INPUTS), roi_per_img=6, num_images=2, name="ohem")
    arrays = {key: mx.nd.array(value) for key, value in inputs.items()}
    arrays["labels"] = arrays["labels"].reshape(label_shape)
    grads = {key: mx.nd.ones_like(value) for key, value in arrays.items()}
    executor = mx.sym.Group(list(outputs)).bind(mx.cpu(), arrays, args_grad=grads, grad_req=grad_req)
    found = executor.forward(is_train=True)
    assert found[0].shape == arrays["labels"].shape
    for output, wanted in zip(found, expected):
        np.testing.assert_array_equal(output.asnumpy().reshape(wanted.shape), wanted)
    executor.backward([mx.nd.ones_like(output) for output in found])
    for grad in grads.values():
        assert (grad.asnumpy() == (0 if grad_req == "write" else 1)).all()


@pytest.mark.parametrize(
    "change, words",
    [
        ({"roi_per_img": 0}, "roi_per_img"),
        ({"num_images": 7}, "num_images=7"),
        ({"loss_weight": (1, 2)}, "loss_weight"),
    ],
)
def test_mxnet_errors_name_operator_and_value(change, words):
    import mxnet as mx

    from fullconv.lib.operators.box_annotator_ohem import box_annotator_ohem

    inputs = make_inputs(np.random.RandomState(4), 40)
    with pytest.raises(mx.MXNetError, match=f"(?s)fullconv_box_annotator_ohem: .*{words}"):
        box_annotator_ohem(*(mx.nd.array(inputs[key]) for key in INPUTS), **change)[0].asnumpy()
