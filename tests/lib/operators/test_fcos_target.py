"""FCOS's targets inside an MXNet graph: shapes follow the image, and no gradient gets through."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.operators.fcos_target import fcos_target, fcos_target_arrays

LEVELS = [mx.sym.Variable("p3"), mx.sym.Variable("p4")]
GT = np.array([[[4, 4, 60, 50, 2]], [[0, 0, 0, 0, -1]]], np.float32)


def bind(height: int, width: int, grad_req: str) -> mx.executor.Executor:
    targets = fcos_target(mx.sym.Variable("gt"), [level * 2 for level in LEVELS], (8, 16), (40,), name="target")
    assert [output.name for output in targets] == ["target"] * 3
    loss = sum(mx.sym.sum(target) for target in targets) + sum(mx.sym.sum(level) for level in LEVELS)
    shapes = {"p3": (2, 1, height // 8, width // 8), "p4": (2, 1, height // 16, width // 16)}
    executor = mx.sym.Group([*targets, loss]).simple_bind(mx.cpu(), grad_req=grad_req, gt=GT.shape, **shapes)
    executor.arg_dict["gt"][:] = GT
    return executor


@pytest.mark.parametrize("size", [(64, 96), (32, 64)])
def test_shapes_follow_the_levels(size: tuple) -> None:
    height, width = size
    labels, regression, centerness = bind(height, width, "null").forward()[:3]
    count = height * width // 64 + height * width // 256
    assert labels.shape == centerness.shape == (2, count) and regression.shape == (2, count, 4)
    found = labels.asnumpy()
    assert set(np.unique(found[0])) == {0, 2} and not found[1].any()


@pytest.mark.parametrize("grad_req", ["write", "add"])
def test_no_gradient(grad_req: str) -> None:
    """The levels' own gradient is that of their other use; the boxes have none."""
    executor = bind(64, 96, grad_req)
    for _ in range(2):
        outputs = executor.forward(is_train=True)
        executor.backward([mx.nd.ones(out.shape) for out in outputs])
    for name in ("p3", "p4"):
        np.testing.assert_array_equal(executor.grad_dict[name].asnumpy(), 1 if grad_req == "write" else 2)
    assert not executor.grad_dict["gt"].asnumpy().any()


@pytest.mark.parametrize("options", [{}, {"center_sampling_radius": 1.5, "norm_reg_targets": True}])
def test_arrays_without_mxnet_are_the_same(options: dict) -> None:
    sizes, strides, lengths = [(8, 12), (4, 6), (2, 3)], (8, 16, 32), (30, 50)
    rng = np.random.RandomState(0)
    corners = np.sort(rng.uniform(0, 64, (2, 6, 2, 2)), axis=2).reshape(2, 6, 4)
    gt = np.concatenate([corners, rng.randint(-1, 4, (2, 6, 1))], axis=2).astype(np.float32)
    maps = [mx.nd.zeros((2, 1, *size)) for size in sizes]
    expected = fcos_target(mx.nd.array(gt), maps, strides, lengths, **options)
    found = fcos_target_arrays(gt, sizes, strides, lengths, **options)
    assert found[0].any()
    for array, other in zip(found, expected):
        np.testing.assert_array_equal(array, other.asnumpy())
    with pytest.raises(ValueError, match="2 levels of 3 strides and 2 sizes of interest"):
        fcos_target_arrays(gt, sizes[:2], strides, lengths)
