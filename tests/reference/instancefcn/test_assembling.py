"""Assembling against the recorded windows, gradients and losses, and against MXNet's PSROIPooling."""

from __future__ import annotations

from typing import Callable, Dict, Tuple

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.operators.assembling import assemble, assemble_dense

RULES = [(3, "centre"), (3, "floor"), (5, "centre"), (5, "floor"), (7, "centre"), (7, "floor")]


def recorded(reference: Dict[str, np.ndarray], key: str, rule: str) -> np.ndarray:
    """Where both rules agree only one is recorded."""
    return reference.get(f"{key}_{rule}", reference[f"{key}_centre"])


def run(
    maps: np.ndarray, windows: np.ndarray, group: int, rule: str, head: Callable[[mx.nd.NDArray, mx.nd.NDArray], object]
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(output, valid, gradient of the maps for `head(output, valid)`, a scalar)."""
    data = mx.nd.array(maps)
    data.attach_grad()
    with mx.autograd.record():
        out, valid = assemble(data, mx.nd.array(windows), group, 21, rule)
        scalar = head(out, valid)
    scalar.backward()
    return out.asnumpy(), valid.asnumpy(), data.grad.asnumpy()


@pytest.mark.parametrize("group, rule", RULES)
def test_windows_and_gradient(group: int, rule: str, instancefcn_reference: Callable) -> None:
    reference = instancefcn_reference(f"assemble_k{group}")
    upstream = mx.nd.array(reference["gout"])
    out, valid, grad = run(reference["S"], reference["wins"], group, rule, lambda out, _: (out * upstream).sum())
    np.testing.assert_array_equal(out, recorded(reference, "out", rule))
    np.testing.assert_array_equal(valid, reference["valid"])
    np.testing.assert_allclose(grad, recorded(reference, "dS", rule), atol=1e-5)


@pytest.mark.parametrize("group, rule", RULES)
def test_mask_loss_and_its_gradient(group: int, rule: str, instancefcn_reference: Callable) -> None:
    reference = instancefcn_reference(f"assemble_k{group}")
    target, positive = mx.nd.array(reference["target"]), mx.nd.array(reference["pos"])
    sums = []

    def head(out: mx.nd.NDArray, valid: mx.nd.NDArray) -> mx.nd.NDArray:
        loss = (mx.nd.Activation(out, act_type="softrelu") - out * target) * valid
        total = loss.sum(axis=(1, 2))
        sums.append(total.asnumpy())
        mean = (total / valid.sum(axis=(1, 2)) * positive).sum() / positive.sum()
        sums.append(mean.asscalar())
        return mean

    grad = run(reference["S"], reference["wins"], group, rule, head)[2]
    np.testing.assert_allclose(sums[0], recorded(reference, "bce_sum", rule), rtol=1e-5)
    np.testing.assert_allclose(sums[1], recorded(reference, "loss", rule), rtol=1e-6)
    np.testing.assert_allclose(grad, recorded(reference, "dS_loss", rule), atol=1e-7)


@pytest.mark.parametrize("group", [3, 5, 7])
def test_parts_of_a_window(group: int, instancefcn_reference: Callable) -> None:
    """A window in the middle of maps that hold their own number."""
    reference = instancefcn_reference(f"assemble_k{group}")
    maps = mx.nd.array(np.broadcast_to(np.arange(group**2).reshape(1, -1, 1, 1), (1, group**2, 21, 21)))
    for rule in ("centre", "floor"):
        out = assemble(maps, mx.nd.array([[0, 10, 10]]), group, 21, rule)[0].asnumpy()[0]
        bands = recorded(reference, "cell", rule)
        np.testing.assert_array_equal(out, bands[:, None] * group + bands)


@pytest.mark.parametrize("group", [3, 5, 7])
def test_dense(group: int, instancefcn_reference: Callable) -> None:
    reference = instancefcn_reference(f"assemble_k{group}")
    out, valid = assemble_dense(mx.nd.array(reference["dense_S"]), group)
    np.testing.assert_array_equal(out.asnumpy().reshape(reference["dense_out"].shape), reference["dense_out"])
    np.testing.assert_array_equal(valid.asnumpy().reshape(reference["dense_valid"].shape), reference["dense_valid"])


@pytest.mark.parametrize("group", [3, 5, 7])
def test_floor_rule_is_psroi_pooling(group: int, instancefcn_reference: Callable) -> None:
    """With bins of one pixel, MXNet's own operator gives the same windows and the same gradient."""
    reference = instancefcn_reference(f"assemble_k{group}")
    maps, rois = mx.nd.array(reference["S"]), mx.nd.array(reference["rois"])
    upstream = mx.nd.array(reference["gout"])
    maps.attach_grad()
    with mx.autograd.record():
        options = {"spatial_scale": 1 / 8, "output_dim": 1, "pooled_size": 21, "group_size": group}
        pooled = mx.nd.contrib.PSROIPooling(maps, rois, **options)[:, 0]
        scalar = (pooled * upstream).sum()
    scalar.backward()
    out, _, grad = run(reference["S"], reference["wins"], group, "floor", lambda out, _: (out * upstream).sum())
    np.testing.assert_array_equal(out, pooled.asnumpy())
    np.testing.assert_allclose(grad, maps.grad.asnumpy(), atol=1e-5)
