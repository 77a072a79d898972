"""The fused FCIS head inside MXNet against the composed graph."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.operators.fcis_head import fcis_head, fcis_head_composed


def maps_and_rois(classes: int, count: int) -> list:
    random = np.random.RandomState(classes)
    centres, sizes = random.uniform(0, 1, (count, 2)) * [320, 256], random.uniform(8, 250, (count, 2))
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], 1)
    rois = np.concatenate([random.randint(0, 2, (count, 1)), boxes], 1)
    maps = [random.randn(2, channels * 49, 16, 20) for channels in (2 * classes, 8)]
    return [mx.nd.array(array) for array in (*maps, rois)]


@pytest.mark.parametrize("classes, count", [(2, 1), (5, 30), (21, 40)])
def test_equals_the_composed_graph(classes: int, count: int) -> None:
    arrays = maps_and_rois(classes, count)
    for fused, composed in zip(fcis_head(*arrays, classes), fcis_head_composed(*arrays, classes)):
        np.testing.assert_allclose(fused.asnumpy(), composed.asnumpy(), rtol=0, atol=1e-6)


def test_as_a_symbol() -> None:
    arrays = maps_and_rois(3, 10)
    names = ["cls_seg", "bbox", "rois"]
    variables = [mx.sym.Variable(name) for name in names]
    head = fcis_head(*variables, 3, name="head")
    assert head.list_arguments() == names
    assert len(head.list_outputs()) == 3
    composed = mx.sym.Group(list(fcis_head_composed(*variables, 3)))
    given = dict(zip(names, arrays))
    shapes = {name: array.shape for name, array in given.items()}
    results = [
        symbol.simple_bind(mx.cpu(), grad_req="null", **shapes).forward(is_train=False, **given)
        for symbol in (mx.sym.load_json(head.tojson()), composed)
    ]
    for fused, parts in zip(*results):
        np.testing.assert_allclose(fused.asnumpy(), parts.asnumpy(), rtol=0, atol=1e-6)


def test_has_no_gradient() -> None:
    arrays = maps_and_rois(2, 2)
    arrays[0].attach_grad()
    with mx.autograd.record():
        cls_prob, _, _ = fcis_head(*arrays, 2)
    with pytest.raises(mx.MXNetError, match="fullconv_fcis_head: has no gradient, it is for inference only"):
        cls_prob.backward()
        arrays[0].grad.wait_to_read()


def test_wrong_class_count_is_named() -> None:
    with pytest.raises(mx.MXNetError, match=r"fullconv_fcis_head: input cls_seg has shape \(2,490,16,20\), expected"):
        fcis_head(*maps_and_rois(5, 2), 6)[0].wait_to_read()
