"""Focal loss and IoU losses against the recorded ones, values and gradients."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Tuple

import mxnet as mx
import numpy as np
import pytest

from fullconv.lib.operators.iou_loss import iou_loss
from fullconv.lib.operators.sigmoid_focal_loss import sigmoid_focal_loss


@pytest.fixture(scope="module")
def losses(fcos_reference: Callable) -> Dict[str, np.ndarray]:
    return fcos_reference("c_losses")


def evaluate(operator: Callable, first: np.ndarray, *others: np.ndarray, **options: Any) -> Tuple[np.ndarray, ...]:
    """The loss, and the gradient of its sum."""
    array = mx.nd.array(first)
    array.attach_grad()
    with mx.autograd.record():
        loss = operator(array, *map(mx.nd.array, others), **options)
    loss.backward()
    return loss.asnumpy(), array.grad.asnumpy()


def test_focal_loss_equals_the_cuda_form(losses: Dict[str, np.ndarray]) -> None:
    tags = [key[: -len("_cudaform_loss")] for key in losses if re.match(r"focal_g.*_cudaform_loss", key)]
    assert len(tags) >= 2
    for tag in tags:
        gamma, alpha = map(float, re.match(r"focal_g([\d.]+)_a([\d.]+)", tag).groups())
        options = {"alpha": alpha, "gamma": gamma}
        loss, grad = evaluate(sigmoid_focal_loss, losses["focal_logits"], losses["focal_targets"], **options)
        np.testing.assert_allclose(loss, losses[f"{tag}_cudaform_loss"], rtol=1e-5, atol=1e-37)
        np.testing.assert_allclose(grad, losses[f"{tag}_cudaform_grad"], rtol=1e-5, atol=1e-37)


def test_focal_loss_equals_the_original_run_on_the_cpu(losses: Dict[str, np.ndarray]) -> None:
    """Its log(1 - p) is itself off by some 1e-5 where p is near 1."""
    tags = [key[: -len("_sum")] for key in losses if re.match(r"focal_g.*_sum", key)]
    assert len(tags) >= 2
    for tag in tags:
        gamma, alpha = map(float, re.match(r"focal_g([\d.]+)_a([\d.]+)", tag).groups())
        options = {"alpha": alpha, "gamma": gamma}
        loss, grad = evaluate(sigmoid_focal_loss, losses["focal_logits"], losses["focal_targets"], **options)
        np.testing.assert_allclose(loss.sum(dtype=float), losses[f"{tag}_sum"], rtol=5e-5)
        np.testing.assert_allclose(grad, losses[f"{tag}_grad"], rtol=1e-3, atol=1e-4)


def test_focal_loss_ignores(losses: Dict[str, np.ndarray]) -> None:
    targets = losses["focal_ignore_targets"]
    loss, grad = evaluate(sigmoid_focal_loss, losses["focal_logits"], targets)
    assert (targets < 0).any() and not loss[targets < 0].any() and not grad[targets < 0].any()
    np.testing.assert_allclose(loss.sum(dtype=float), losses["focal_ignore_sum"], rtol=5e-5)
    np.testing.assert_allclose(grad, losses["focal_ignore_grad"], rtol=1e-3, atol=1e-4)


def test_focal_loss_of_extreme_scores(losses: Dict[str, np.ndarray]) -> None:
    loss, grad = evaluate(sigmoid_focal_loss, losses["focal_extreme_logits"], losses["focal_extreme_targets"])
    np.testing.assert_allclose(loss, losses["focal_extreme_cudaform_loss"], rtol=1e-6, atol=1e-37)
    np.testing.assert_allclose(grad, losses["focal_extreme_cudaform_grad"], rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize("scale", ["1.00", "0.05"])
@pytest.mark.parametrize("loss_type", ["iou", "linear_iou", "giou"])
def test_iou_loss(losses: Dict[str, np.ndarray], loss_type: str, scale: str) -> None:
    """Row 1 is a perfect fit, where PyTorch halves the gradient; "none" has no weights."""
    pred, target = (np.float32(scale) * losses[key] for key in ("iou_pred", "iou_target"))
    tag = f"{loss_type}_x{scale}"
    for weighting, weight in (("w", losses["iou_weight"]), ("none", np.ones(len(pred), np.float32))):
        loss, grad = evaluate(iou_loss, pred, target, weight, loss_type=loss_type)
        np.testing.assert_allclose(loss.sum(dtype=float), losses[f"{tag}_{weighting}"], rtol=1e-5)
        np.testing.assert_allclose(grad, losses[f"{tag}_{weighting}_grad"], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(loss, losses[f"{tag}_each"], rtol=1e-5, atol=1e-6)
