"""Roi sampling and targets against a plain numpy + OpenCV version, through the C interface and through MXNet."""

import ctypes

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.operator_cxx import c_library

OUTPUTS = ("rois", "label", "bbox_target", "bbox_weight", "mask_target")
DEFAULTS = {
    "batch_images": 1,
    "batch_rois": 16,
    "fg_fraction": 0.25,
    "fg_thresh": 0.5,
    "bg_thresh_hi": 0.5,
    "bg_thresh_lo": 0.1,
    "bbox_means": (0.0, 0.1, 0.0, 0.0),
    "bbox_stds": (0.2, 0.2, 0.5, 0.5),
    "bbox_weights": (1.0, 1.0, 0.5, 2.0),
    "normalize": True,
    "gap_select_from_all": False,
    "ignore_gap": False,
    "binary_thresh": 0.4,
    "mask_size": 7,
    "num_reg_classes": 2,
}


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def run_c(rois, gt_boxes, gt_masks, seed, **changes):
    """The five outputs of the CPU kernel; outputs and scratch memory are filled with garbage first."""
    c = {**DEFAULTS, **changes}
    n, gt_each = gt_boxes.shape[:2]
    each = len(rois) // n
    library = c_library()
    library.fullconv_proposal_annotator_workspace.restype = ctypes.c_size_t
    size = library.fullconv_proposal_annotator_workspace(n, each, gt_each, c["batch_images"], c["batch_rois"])
    workspace = np.full(size, 0xAB, np.uint8)
    rows = n * (each + gt_each if c["batch_rois"] == -1 else c["batch_rois"] // c["batch_images"])
    width, m = 4 * c["num_reg_classes"], c["mask_size"]
    shapes = ((rows, 5), (rows,), (rows, width), (rows, width), (rows, 1, m, m))
    outputs = [np.full(shape, np.nan, np.float32) for shape in shapes]
    tensors = [np.ascontiguousarray(x, np.float32) for x in (rois, gt_boxes, gt_masks, seed)] + outputs
    numbers = np.array([*c["bbox_means"], *c["bbox_stds"], *c["bbox_weights"]], float)
    thresholds = [ctypes.c_double(c[k]) for k in ("fg_fraction", "fg_thresh", "bg_thresh_hi", "bg_thresh_lo")]
    error = library.fullconv_proposal_annotator_fwd_cpu(
        *map(pointer, tensors),
        *(n, each, gt_each, *gt_masks.shape[2:], c["batch_images"], c["batch_rois"]),
        *thresholds,
        pointer(numbers),
        *(int(c[k]) for k in ("normalize", "gap_select_from_all", "ignore_gap")),
        ctypes.c_double(c["binary_thresh"]),
        *(m, c["num_reg_classes"], pointer(workspace), None),
    )
    assert error == 0
    return dict(zip(OUTPUTS, outputs))


def overlaps(a, b):
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    side = np.maximum(high - low + 1, 0)
    inter = side[..., 0] * side[..., 1]
    area_a, area_b = ((x[:, 2] - x[:, 0] + 1) * (x[:, 3] - x[:, 1] + 1) for x in (a, b))
    return np.where(inter > 0, inter / np.where(inter > 0, area_a[:, None] + area_b - inter, 1), 0)


def encode(ex, gt):
    """float32 throughout, like the original's rois."""
    one, half = np.float32(1), np.float32(0.5)
    e, g = ex[:, 2:] - ex[:, :2] + one, gt[:, 2:] - gt[:, :2] + one
    shift = (gt[:, :2] + half * (g - one)) - (ex[:, :2] + half * (e - one))
    return np.hstack([shift / (e + np.float32(1e-14)), np.log(g / e)])


def without_repetition(boxes):
    first = [np.unique(boxes[:, k], return_index=True)[1] for k in range(4)]
    return np.unique(np.concatenate(first))


def draw(overlap, boxes, random, c):
    """(kept candidates, number of foreground ones, number before gap filling)."""
    n, best = len(boxes), overlap.max(axis=1) if overlap.shape[1] else np.zeros(len(boxes))
    wanted = n if c["batch_rois"] == -1 else c["batch_rois"] // c["batch_images"]
    wanted_fg = n if c["batch_rois"] == -1 else int(np.round(c["fg_fraction"] * wanted))
    fg = np.where(best >= c["fg_thresh"])[0] if overlap.shape[1] else np.zeros(0, int)
    if c["ignore_gap"] and len(fg):
        fg = fg[without_repetition(boxes[fg])]
    if len(fg) > wanted_fg:
        fg = random.choice(fg, size=wanted_fg, replace=False)
    bg = np.where((best < c["bg_thresh_hi"]) & (best >= c["bg_thresh_lo"]))[0]
    if len(bg) > wanted - len(fg):
        bg = random.choice(bg, size=wanted - len(fg), replace=False)
    keep = np.append(fg, bg).astype(int)
    own = len(keep)
    while len(keep) < wanted:
        source = range(n) if c["gap_select_from_all"] else sorted(set(range(n)) - set(fg)) or range(n)
        gap = min(len(source), wanted - len(keep))
        keep = np.append(keep, random.choice(source, size=gap, replace=False))
    return keep, len(fg), own


def mask_of(roi, gt, mask, c):
    x1, y1, x2, y2 = np.round(roi).astype(int)
    limit = np.array(mask.shape[::-1]) - 1
    gx1, gy1 = np.maximum(np.round(gt[:2]).astype(int), 0)
    gx2, gy2 = np.minimum(np.round(gt[2:4]).astype(int), limit)
    patch = np.zeros((y2 - y1 + 1, x2 - x1 + 1))
    ix1, iy1, ix2, iy2 = max(x1, gx1), max(y1, gy1), min(x2, gx2), min(y2, gy2)
    if ix1 <= ix2 and iy1 <= iy2:
        patch[iy1 - y1 : iy2 - y1 + 1, ix1 - x1 : ix2 - x1 + 1] = mask[iy1 : iy2 + 1, ix1 : ix2 + 1]
    soft = cv2.resize(patch, (c["mask_size"],) * 2)
    return np.where(np.abs(soft - c["binary_thresh"]) < 1e-5, np.nan, soft >= c["binary_thresh"])


def reference_image(rois, gt, masks, seed, c):
    """One image; mask targets too close to the threshold to call are NaN."""
    masks, gt = masks[gt[:, 4] > 0], gt[gt[:, 4] > 0]
    boxes = np.vstack([rois[:, 1:], gt[:, :4]])
    overlap = overlaps(boxes.astype(float), gt[:, :4].astype(float))
    keep, num_fg, own = draw(overlap, boxes, np.random.RandomState(seed), c)
    rows, columns = len(keep), 4 * c["num_reg_classes"]
    label, target, weight = np.zeros(rows), np.zeros((rows, columns)), np.zeros((rows, columns))
    mask = np.full((rows, 1, c["mask_size"], c["mask_size"]), -1.0)
    if c["ignore_gap"]:
        label[own:] = -1
    for i in range(num_fg):
        g = overlap[keep[i]].argmax()
        label[i], roi = gt[g, 4], boxes[keep[i]]
        group = 1 if c["num_reg_classes"] == 2 else int(gt[g, 4])
        code = encode(roi[None], gt[g : g + 1, :4])[0].astype(float)
        if c["normalize"]:
            code = (code - c["bbox_means"]) / c["bbox_stds"]
        if group < c["num_reg_classes"]:
            target[i, 4 * group : 4 * group + 4], weight[i, 4 * group : 4 * group + 4] = code, c["bbox_weights"]
        mask[i, 0] = mask_of(roi, gt[g], masks[g].astype(float), c)
    values = (np.insert(boxes[keep], 0, 0, axis=1), label, target, weight, mask)
    return {key: value.astype(np.float32) for key, value in zip(OUTPUTS, values)}


def make_inputs(random, n, each, gt_each, h=40, w=60):
    """Rois scattered around ground truth boxes, some of which repeat, touch the border or leave the image."""
    low = random.randint(-3, [w - 8, h - 8], (n, gt_each, 2))
    gt = np.concatenate([low, low + random.randint(0, 30, (n, gt_each, 2))], axis=2) + random.rand(n, gt_each, 4) * 0.4
    near = gt[np.arange(n)[:, None], random.randint(gt_each, size=(n, each))]
    near = near + random.randn(n, each, 4) * random.choice([0.5, 3, 12], (n, each, 1))
    near = np.hstack([np.minimum(near[..., :2], near[..., 2:]).reshape(-1, 2), near[..., 2:].reshape(-1, 2)])
    rois = np.insert(np.clip(near, 0, [w - 1, h - 1, w - 1, h - 1]), 0, np.repeat(np.arange(n), each), axis=1)
    rois[random.rand(len(rois)) < 0.1, 1:] = np.round(rois[0, 1:])
    boxes = np.concatenate([gt, random.randint(1, 5, (n, gt_each, 1))], axis=2)
    masks = random.rand(n, gt_each, h, w) < 0.7
    seed = random.randint(0, 2**24, (n, 1))
    return tuple(np.asarray(x, np.float32) for x in (rois, boxes, masks, seed))


def assert_image(found, expected, image, rows):
    """Rows of one image; NaN in the expected mask stands for either value."""
    for key in OUTPUTS:
        values = found[key][image * rows : image * rows + len(expected[key])].copy()
        if key == "rois":
            assert (values[:, 0] == image).all()
            values[:, 0] = 0
        wanted = np.where(np.isnan(expected[key]), values, expected[key])
        np.testing.assert_array_equal(values, wanted, err_msg=key)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.integers(1, 40),
    st.integers(1, 4),
    st.sampled_from([-1, 1, 8, 16, 64]),
    st.fixed_dictionaries(
        {
            "bg_thresh_lo": st.sampled_from([0.0, 0.1]),
            "fg_thresh": st.sampled_from([0.3, 0.5, 0.9]),
            "fg_fraction": st.sampled_from([0.0, 0.25, 1.0]),
            "normalize": st.booleans(),
            "gap_select_from_all": st.booleans(),
            "ignore_gap": st.booleans(),
            "mask_size": st.sampled_from([1, 7, 21]),
            "num_reg_classes": st.sampled_from([2, 4, 6]),
        }
    ),
    st.integers(0, 2),
)
def test_equals_numpy(seed, n, each, gt_each, batch_rois, changes, padding):
    """With up to two padding rows among the ground truth, which must not change the other rows."""
    random = np.random.RandomState(seed)
    rois, boxes, masks, seeds = make_inputs(random, n, each, gt_each)
    boxes[random.rand(n, gt_each) < padding * 0.3, 4] = random.choice([0, -1])
    c = {**DEFAULTS, **changes, "batch_rois": batch_rois}
    found = run_c(rois, boxes, masks, seeds, **c)
    rows = len(found["label"]) // n
    for i in range(n):
        expected = reference_image(rois[i * each : i * each + each], boxes[i], masks[i], int(seeds[i, 0]), c)
        assert_image(found, expected, i, rows)
        rest = slice(i * rows + len(expected["label"]), (i + 1) * rows)
        assert (found["label"][rest] == -1).all() and (found["mask_target"][rest] == -1).all()
        assert (found["bbox_weight"][rest] == 0).all() and (found["bbox_target"][rest] == 0).all()
        assert np.isfinite(found["rois"][rest]).all()


def test_two_images_per_batch_share_the_rois():
    inputs = make_inputs(np.random.RandomState(1), 2, 30, 2)
    outputs = run_c(*inputs, batch_rois=16, batch_images=2)
    assert outputs["label"].shape == (16,)
    halved = run_c(*inputs, batch_rois=8)
    for key in OUTPUTS:
        np.testing.assert_array_equal(outputs[key], halved[key])


@pytest.mark.parametrize("batch_rois", [-1, 16])
def test_image_without_ground_truth_is_background(batch_rois):
    rois, boxes, masks, seed = make_inputs(np.random.RandomState(1), 1, 30, 2)
    boxes[:] = 0
    outputs = run_c(rois, boxes, masks, seed, batch_rois=batch_rois)
    np.testing.assert_array_equal(outputs["label"], [0] * 30 + [-1] * 2 if batch_rois == -1 else [0] * 16)
    assert (outputs["mask_target"] == -1).all() and (outputs["bbox_weight"] == 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30])
@pytest.mark.parametrize("fg_thresh", [0.5, 0.0])
def test_senseless_values_stay_in_bounds(value, fg_thresh):
    random = np.random.RandomState(2)
    for spoilt in range(4):
        inputs = make_inputs(random, 2, 20, 3)
        inputs[spoilt][random.rand(*inputs[spoilt].shape) < 0.3] = value
        outputs = run_c(*inputs, fg_thresh=fg_thresh, num_reg_classes=6)
        assert np.isin(outputs["mask_target"], [-1, 0, 1]).all()
        assert np.isfinite(outputs["bbox_target"]).all()


def symbol_and_inputs(changes):
    import mxnet as mx

    from fullconv.lib.operators.proposal_annotator import proposal_annotator

    names = ("rois", "gt_boxes", "gt_masks", "seed")
    outputs = proposal_annotator(*map(mx.sym.Variable, names), name="annotator", **{**DEFAULTS, **changes})
    inputs = make_inputs(np.random.RandomState(5), 2, 30, 3)
    return mx.sym.Group(list(outputs)), dict(zip(names, inputs))


@pytest.mark.parametrize("grad_req", ["write", "add", "null"])
@pytest.mark.parametrize("batch_rois", [-1, 16])
def test_mxnet_forward_and_zero_gradient(grad_req, batch_rois):
    import mxnet as mx

    symbol, inputs = symbol_and_inputs({"batch_rois": batch_rois})
    arrays = {key: mx.nd.array(value) for key, value in inputs.items()}
    grads = {key: mx.nd.ones_like(value) for key, value in arrays.items()}
    executor = symbol.bind(mx.cpu(), arrays, args_grad=grads, grad_req=grad_req)
    outputs = executor.forward(is_train=True)
    expected = run_c(*inputs.values(), batch_rois=batch_rois)
    for key, output in zip(OUTPUTS, outputs):
        np.testing.assert_array_equal(output.asnumpy(), expected[key], err_msg=key)
    executor.backward([mx.nd.ones_like(output) for output in outputs])
    for grad in grads.values():
        assert (grad.asnumpy() == (0 if grad_req == "write" else 1)).all()


def test_mxnet_devices_run_concurrently():
    import mxnet as mx

    symbol, inputs = symbol_and_inputs({})
    executors = [symbol.bind(mx.cpu(i), {k: mx.nd.array(v, mx.cpu(i)) for k, v in inputs.items()}) for i in range(4)]
    runs = [executor.forward() for _ in range(5) for executor in executors]
    expected = run_c(*inputs.values())
    for outputs in runs:
        for key, output in zip(OUTPUTS, outputs):
            np.testing.assert_array_equal(output.asnumpy(), expected[key])


@pytest.mark.parametrize(
    "change, words",
    [
        ({"batch_rois": -2}, "batch_rois"),
        ({"batch_rois": 1, "batch_images": 2}, "batch_rois='1' must be -1 or at least batch_images=2"),
        ({"fg_fraction": 1.5}, "fg_fraction='1.5'"),
        ({"bbox_stds": (0.1, 0.1, 0.2)}, "bbox_stds"),
        ({"bbox_stds": (0.1, 0.1, 0.2, 0)}, "bbox_stds"),
        ({"bbox_means": (0, 0, 0, 0, 0)}, "bbox_means"),
        ({"mask_size": 0}, "mask_size"),
    ],
)
def test_mxnet_errors_name_operator_and_value(change, words):
    import mxnet as mx

    from fullconv.lib.operators.proposal_annotator import proposal_annotator

    inputs = make_inputs(np.random.RandomState(5), 2, 30, 3)
    with pytest.raises(mx.MXNetError, match=f"(?s)fullconv_proposal_annotator: .*{words}"):
        proposal_annotator(*map(mx.nd.array, inputs), **change)[0].asnumpy()
