"""Images of a batch do not see each other, and mirrored maps give mirrored boxes."""

from __future__ import annotations

import mxnet as mx
import numpy as np

from fullconv.fcos.postprocess import Level, ResultSpec, candidates
from fullconv.fcos.symbols.fcos import level_sizes
from fullconv.fcos.symbols.fcos import test_symbol as network_symbol
from fullconv.fcos.symbols.fcos import train_symbol as training_symbol
from fullconv.fcos.symbols.spec import LossSpec

HEIGHT, WIDTH = 64, 96


def bound(symbol: mx.sym.Symbol, grad_req: str = "null", **shapes: tuple) -> mx.executor.Executor:
    """With random weights, the same whatever the images."""
    executor = symbol.simple_bind(mx.cpu(), grad_req=grad_req, **shapes)
    rng = np.random.RandomState(0)
    for name, array in sorted(executor.arg_dict.items()):
        if name not in shapes:
            array[:] = rng.randn(*array.shape) * 0.1
    for array in executor.aux_dict.values():
        array[:] = 1.0
    return executor


def test_a_batch_gives_what_its_images_give_alone(network) -> None:
    images = np.random.RandomState(1).randn(2, 3, HEIGHT, WIDTH) * 50
    results = []
    for batch in (images, images[:1], images[1:]):
        executor = bound(network_symbol(network), data=batch.shape)
        executor.arg_dict["data"][:] = batch
        executor.forward()
        results.append({name: array.asnumpy() for name, array in executor.output_dict.items()})
    both, *singles = results
    for k, single in enumerate(singles):
        for name, expected in single.items():
            scale = max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(both[name][k : k + 1], expected, rtol=0, atol=1e-5 * scale, err_msg=name)


def test_mirrored_maps_give_mirrored_boxes() -> None:
    """A location lies in the middle of its pixels, so the image is mirrored at W / 2: x becomes W - x."""
    rng, classes = np.random.RandomState(2), 3
    levels = [
        Level(*(rng.randn(channels, *size).astype(np.float32) for channels in (classes, 4, 1)))
        for size in level_sizes(HEIGHT, WIDTH)
    ]
    levels = [level._replace(boxes=np.abs(level.boxes) * 3) for level in levels]
    mirrored = [
        Level(level.logits[..., ::-1], level.boxes[[2, 1, 0, 3]][..., ::-1], level.centerness[..., ::-1])
        for level in levels
    ]
    # Of the levels that divide the image; the last column of others lies outside of it.
    spec = ResultSpec(threshold=0.3)
    found, other = (candidates(maps[:3], (HEIGHT, WIDTH), spec) for maps in (levels, mirrored))
    assert len(found) == len(other) > 50
    boxes = other.boxes.copy()
    boxes[:, [0, 2]] = WIDTH - boxes[:, [2, 0]]
    inner = [(b.boxes[:, 0] > 1) & (b.boxes[:, 2] < WIDTH - 1) for b in (found, other)]
    assert inner[0].sum() == inner[1].sum() > 30
    rows = [
        np.column_stack([corners[keep].round(3), part.scores[keep], part.labels[keep]])
        for corners, part, keep in zip((found.boxes, boxes), (found, other), inner)
    ]
    rows = [array[np.lexsort(array.T)] for array in rows]
    np.testing.assert_allclose(rows[1], rows[0], rtol=0, atol=1.1e-3)


def test_without_objects_only_classes_are_learned(network) -> None:
    """The losses of boxes and centerness are exactly 0, and so are their gradients."""
    spec = LossSpec(radius=1.5, sizes=(16.0, 32.0, 64.0, 128.0))
    shapes = {"data": (2, 3, HEIGHT, WIDTH), "gt_boxes": (2, 4, 5), "normalizers": (2,)}
    executor = bound(training_symbol(network, spec), "write", **shapes)
    executor.arg_dict["data"][:] = np.random.RandomState(1).randn(*shapes["data"]) * 50
    executor.arg_dict["gt_boxes"][:] = -1
    executor.arg_dict["normalizers"][:] = 1
    classes, boxes, centerness = (array.asscalar() for array in executor.forward(is_train=True))
    executor.backward()
    assert classes > 0 and boxes == 0 and centerness == 0
    gradients = {name: array.asnumpy() for name, array in executor.grad_dict.items() if name not in shapes}
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())
    assert gradients["rpn.head.cls_logits_weight"].any() and gradients["rpn.head.cls_logits_bias"].any()
    for name in ("bbox_pred", "centerness"):
        assert not gradients[f"rpn.head.{name}_weight"].any(), name
