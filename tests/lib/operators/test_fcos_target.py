"""FCOS's targets inside an MXNet graph: shapes follow the image, and no gradient gets through."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.operators.fcos_target import fcos_target

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
