"""Proposals against a plain numpy version, through the C interface and through MXNet."""

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.operator_cxx import c_library

SCALES, RATIOS = (8.0, 16.0), (0.5, 1.0, 2.0)
ANCHORS = len(SCALES) * len(RATIOS)


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def run_c(cls_prob, bbox_pred, im_info, seed, pre=50, post=20, threshold=0.7, min_size=16.0, stride=16):
    """(rois, score) of the CPU kernel; scratch memory is filled with garbage first."""
    n, _, h, w = cls_prob.shape
    scales, ratios = np.array(SCALES, np.float32), np.array(RATIOS, np.float32)
    library = c_library()
    library.fullconv_proposal_workspace.restype = ctypes.c_size_t
    workspace = np.full(library.fullconv_proposal_workspace(n, ANCHORS, h, w, pre, post, 0), 0xAB, np.uint8)
    rois, score = np.full((n * post, 5), np.nan, np.float32), np.full((n * post, 1), np.nan, np.float32)
    tensors = [np.ascontiguousarray(x, np.float32) for x in (cls_prob, bbox_pred, im_info, seed)] + [rois, score]
    lists = (pointer(scales), len(scales), pointer(ratios), len(ratios))
    limits = (pre, post, ctypes.c_double(threshold), ctypes.c_double(min_size), pointer(workspace), None)
    error = library.fullconv_proposal_fwd_cpu(*map(pointer, tensors), n, ANCHORS, h, w, stride, 16, *lists, *limits)
    assert error == 0
    return rois, score


def anchors():
    boxes = []
    for ratio in RATIOS:
        w = np.round(np.sqrt(256 / ratio))
        h = np.round(w * ratio)
        for scale in SCALES:
            boxes.append([7.5 - (w * scale - 1) / 2, 7.5 - (h * scale - 1) / 2])
            boxes[-1] += [7.5 + (w * scale - 1) / 2, 7.5 + (h * scale - 1) / 2]
    return np.array(boxes)


def decode(boxes, deltas):
    size = boxes[:, 2:] - boxes[:, :2] + 1
    centre = deltas[:, :2] * size + (boxes[:, :2] + 0.5 * (size - 1))
    size = np.exp(deltas[:, 2:]) * size  # numpy exponentiates float32 in float32
    return np.hstack([centre - 0.5 * (size - 1), centre + 0.5 * (size - 1)])


def nms(dets, threshold, most):
    """Greedy, float32, drop IoU > threshold."""
    area = (dets[:, 2] - dets[:, 0] + np.float32(1)) * (dets[:, 3] - dets[:, 1] + np.float32(1))
    alive, keep = np.ones(len(dets), bool), []
    for i in range(len(dets)):
        if not alive[i]:
            continue
        keep.append(i)
        if len(keep) == most:
            break
        low, high = np.maximum(dets[i, :2], dets[:, :2]), np.minimum(dets[i, 2:4], dets[:, 2:4])
        inter = np.maximum(high - low + np.float32(1), 0).prod(axis=1)
        alive &= ~(inter / (area[i] + area - inter) > np.float32(threshold))
    return np.array(keep, int)


def reference_image(cls_prob, bbox_pred, im_info, seed, pre, post, threshold, min_size, stride):
    a, (h, w) = ANCHORS, cls_prob.shape[1:]
    rows, columns = (int(min(max(im_info[i] / stride, 0), side)) for i, side in ((0, h), (1, w)))
    shift = np.array([[x, y, x, y] for y in range(rows) for x in range(columns)]).reshape(-1, 1, 4) * stride
    grid = (shift + anchors()[None]).reshape(-1, 4)
    scores = cls_prob[a:, :rows, :columns].transpose(1, 2, 0).ravel()
    deltas = bbox_pred.reshape(a, 4, h, w)[:, :, :rows, :columns].transpose(2, 3, 0, 1).reshape(-1, 4)
    boxes = np.maximum(np.minimum(decode(grid, deltas), np.tile(im_info[[1, 0]] - 1, 2)), 0)
    size = boxes[:, 2:] - boxes[:, :2] + 1
    usable = (size >= min_size).all(axis=1) & ~np.isnan(scores)
    dets = np.hstack([boxes[usable], scores[usable, None]]).astype(np.float32)
    dets = dets[np.argsort(dets[:, 4], kind="stable")[::-1][:pre]]
    keep = nms(dets, threshold, post)
    if len(keep) == 0:
        return np.tile(np.float32([0, 0, im_info[1] - 1, im_info[0] - 1, 0]), (post, 1))
    if len(keep) < post:
        keep = np.append(keep, np.random.RandomState(seed).choice(keep, size=post - len(keep)))
    return dets[keep]


def reference(cls_prob, bbox_pred, im_info, seed, pre=50, post=20, threshold=0.7, min_size=16.0, stride=16):
    with np.errstate(all="ignore"):
        images = [
            reference_image(*case, pre, post, threshold, min_size, stride)
            for case in zip(cls_prob, bbox_pred, im_info, seed[:, 0].astype(int))
        ]
    rois = [np.insert(dets[:, :4], 0, i, axis=1) for i, dets in enumerate(images)]
    return np.concatenate(rois), np.concatenate(images)[:, 4:]


def make_inputs(random, n, h, w, spread=0.5, levels=0, nan=False):
    """Random maps; `levels` > 0 rounds the scores so that many are equal."""
    cls_prob = random.rand(n, 2 * ANCHORS, h, w).astype(np.float32)
    if levels:
        cls_prob = np.round(cls_prob * levels) / np.float32(levels)
    bbox_pred = (random.randn(n, 4 * ANCHORS, h, w) * spread).astype(np.float32)
    if nan:
        for values in (cls_prob, bbox_pred):
            values[random.rand(*values.shape) < 0.05] = random.choice([np.nan, np.inf, -np.inf])
    size = random.randint(16, 16 * np.array([h, w]) + 40, (n, 2))
    im_info = np.hstack([size, np.ones((n, 1))]).astype(np.float32)
    return cls_prob, bbox_pred, im_info, random.randint(0, 2**24, (n, 1)).astype(np.float32)


@settings(max_examples=250, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([0.0, 0.3, 3.0, 200.0]),
    st.sampled_from([0, 1, 4]),
    st.booleans(),
    st.sampled_from([1, 7, 50, 600]),
    st.sampled_from([1, 20, 40]),
    st.sampled_from([0.0, 0.3, 0.7, 1.0]),
    st.sampled_from([0.0, 16.0, 100.5]),
    st.sampled_from([8, 16]),
)
def test_equals_numpy(seed, n, h, w, spread, levels, nan, pre, post, threshold, min_size, stride):
    inputs = make_inputs(np.random.RandomState(seed), n, h, w, spread, levels, nan)
    expected = reference(*inputs, pre, post, threshold, min_size, stride)
    for found, wanted in zip(run_c(*inputs, pre, post, threshold, min_size, stride), expected):
        np.testing.assert_array_equal(found, wanted)


def test_nothing_left_gives_the_whole_image():
    inputs = make_inputs(np.random.RandomState(0), 2, 3, 4)
    rois, score = run_c(*inputs, min_size=1e6)
    for i, (height, width, _) in enumerate(inputs[2]):
        np.testing.assert_array_equal(rois[20 * i : 20 * i + 20], [[i, 0, 0, width - 1, height - 1]] * 20)
    assert (score == 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -5.0, 1e30])
def test_senseless_image_sizes(value):
    cls_prob, bbox_pred, im_info, seed = make_inputs(np.random.RandomState(0), 1, 3, 4)
    im_info[:] = value
    rois, _ = run_c(cls_prob, bbox_pred, im_info, np.full_like(seed, value))
    assert not np.isnan(rois).any()


def test_images_do_not_influence_each_other():
    inputs = make_inputs(np.random.RandomState(3), 4, 6, 5)
    rois, score = run_c(*inputs)
    for i in range(4):
        alone, alone_score = run_c(*(x[i : i + 1] for x in inputs))
        np.testing.assert_array_equal(rois[20 * i : 20 * i + 20, 1:], alone[:, 1:])
        np.testing.assert_array_equal(score[20 * i : 20 * i + 20], alone_score)


def symbol_and_inputs():
    import mxnet as mx

    from fullconv.lib.operators.proposal import proposal

    names = ("cls_prob", "bbox_pred", "im_info", "seed")
    rois, score = proposal(
        *map(mx.sym.Variable, names),
        scales=SCALES,
        ratios=RATIOS,
        rpn_pre_nms_top_n=50,
        rpn_post_nms_top_n=20,
        output_score=True,
        name="proposal",
    )
    inputs = dict(zip(names, map(mx.nd.array, make_inputs(np.random.RandomState(5), 2, 6, 5))))
    return mx.sym.Group([rois, score]), inputs


@pytest.mark.parametrize("grad_req", ["write", "add", "null"])
def test_mxnet_forward_and_zero_gradient(grad_req):
    import mxnet as mx

    symbol, inputs = symbol_and_inputs()
    grads = {key: mx.nd.ones_like(value) for key, value in inputs.items()}
    executor = symbol.bind(mx.cpu(), inputs, args_grad=grads, grad_req=grad_req)
    outputs = executor.forward(is_train=True)
    for found, wanted in zip(outputs, reference(*(x.asnumpy() for x in inputs.values()))):
        np.testing.assert_array_equal(found.asnumpy(), wanted)
    executor.backward([mx.nd.ones_like(output) for output in outputs])
    for grad in grads.values():
        assert (grad.asnumpy() == (0 if grad_req == "write" else 1)).all()


def test_mxnet_devices_run_concurrently():
    import mxnet as mx

    symbol, inputs = symbol_and_inputs()
    executors = [symbol.bind(mx.cpu(i), {k: v.as_in_context(mx.cpu(i)) for k, v in inputs.items()}) for i in range(4)]
    runs = [executor.forward() for _ in range(5) for executor in executors]
    for rois, score in runs:
        np.testing.assert_array_equal(rois.asnumpy(), runs[0][0].asnumpy())
        np.testing.assert_array_equal(score.asnumpy(), runs[0][1].asnumpy())


@pytest.mark.parametrize(
    "change, words",
    [
        ({"scales": (1,) * 70}, "exceed 64 anchors"),
        ({"ratios": (0.0,)}, "ratios"),
        ({"rpn_pre_nms_top_n": 0}, "rpn_pre_nms_top_n"),
        ({"scales": (8, 16, 32)}, "cls_prob has shape"),
    ],
)
def test_mxnet_errors_name_operator_and_value(change, words):
    import mxnet as mx

    from fullconv.lib.operators.proposal import proposal

    inputs = map(mx.nd.array, make_inputs(np.random.RandomState(5), 1, 6, 5))
    with pytest.raises(mx.MXNetError, match=f"(?s)fullconv_proposal: .*{words}"):
        proposal(*inputs, **{"scales": SCALES, "ratios": RATIOS, **change}).asnumpy()
