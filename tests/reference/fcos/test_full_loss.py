"""The three losses of FCOS, composed from the operators and in the training graph, against the recorded ones."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcos.symbols.head import LevelOutputs
from fullconv.fcos.symbols.losses import losses as train_losses
from fullconv.fcos.symbols.spec import LossSpec
from fullconv.fcos.targets import positives
from fullconv.lib.operators.fcos_target import fcos_target
from fullconv.lib.operators.iou_loss import iou_loss
from fullconv.lib.operators.sigmoid_focal_loss import sigmoid_focal_loss

LEVELS = ["P3", "P4", "P5", "P6", "P7"]
CONFIGS: Dict[str, Tuple[str, str, Dict[str, Any]]] = {
    "base_iou": ("regpix", "iou", {}),
    "imprv_giou": ("regnorm", "giou", {"norm_reg_targets": True, "center_sampling_radius": 1.5}),
    "norm_linear": ("regnorm", "linear_iou", {"norm_reg_targets": True}),
    "cs_giou_pix": ("regpix", "giou", {"center_sampling_radius": 1.5}),
}


def all_levels(maps: List[mx.nd.NDArray]) -> mx.nd.NDArray:
    """(N, C, L) from a map (N, C, H, W) per level."""
    return mx.nd.concat(*(level.reshape((0, 0, -1)) for level in maps), dim=2)


def losses(maps: Dict[str, List[mx.nd.NDArray]], gt: mx.nd.NDArray, regression: str, loss_type: str, options: Any):
    labels, distances, centerness = fcos_target(gt, maps["ctr"], **options)
    positive = labels > 0
    count = mx.nd.maximum(positive.sum(), 1)
    total = centerness.sum()
    pred = all_levels(maps[regression]).transpose((0, 2, 1))
    logits = all_levels(maps["ctr"]).reshape((0, -1))
    cross_entropy = mx.nd.relu(logits) - logits * centerness + mx.nd.Activation(-logits.abs(), act_type="softrelu")
    return (
        sigmoid_focal_loss(all_levels(maps["cls"]), labels).sum() / count,
        iou_loss(pred, distances, centerness, loss_type).sum() / mx.nd.where(total > 0, total, mx.nd.ones((1,))),
        (cross_entropy * positive).sum() / count,
    )


def ground_truth(arrays: Dict[str, np.ndarray], case: str) -> mx.nd.NDArray:
    images = [np.column_stack([arrays[f"gt_{case}_im{i}_boxes"], arrays[f"gt_{case}_im{i}_labels"]]) for i in (0, 1)]
    padded = -np.ones((2, max(map(len, images)), 5))
    for row, boxes in zip(padded, images):
        row[: len(boxes)] = boxes
    return mx.nd.array(padded)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("case", ["two", "onezero", "allzero"])
def test_losses_and_gradients(fcos_reference: Callable, case: str, config: str) -> None:
    arrays = fcos_reference("c2_full_loss")
    regression, loss_type, options = CONFIGS[config]
    maps = {key: [mx.nd.array(arrays[f"{key}_{p}"]) for p in LEVELS] for key in ("cls", "ctr", regression)}
    for level in sum(maps.values(), []):
        level.attach_grad()
    with mx.autograd.record():
        found = losses(maps, ground_truth(arrays, case), regression, loss_type, options)
        total = sum(found)
    total.backward()
    prefix = f"{case}__{config}__"
    np.testing.assert_allclose([loss.asscalar() for loss in found], arrays[prefix + "losses"], rtol=1e-5, atol=1e-7)
    for key, recorded in (("cls", "gcls"), (regression, "greg"), ("ctr", "gctr")):
        for p, level in zip(LEVELS, maps[key]):
            if f"{prefix}{recorded}_{p}" in arrays:
                expected = arrays[f"{prefix}{recorded}_{p}"]
                np.testing.assert_allclose(level.grad.asnumpy(), expected, rtol=1e-3, atol=1e-6, err_msg=p)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("case", ["two", "onezero", "allzero"])
def test_the_training_graph(fcos_reference: Callable, case: str, config: str) -> None:
    """The same from the method's own graph, with what the loader counts as its divisors."""
    arrays = fcos_reference("c2_full_loss")
    regression, loss_type, options = CONFIGS[config]
    normalised, radius = options.get("norm_reg_targets", False), options.get("center_sampling_radius", 0.0)
    spec, boxes = LossSpec(iou=loss_type, radius=radius), ground_truth(arrays, case).asnumpy()
    counts = [positives(image, (128, 160), spec) for image in boxes]
    inputs = {"gt_boxes": boxes, "normalizers": np.maximum(np.sum(counts, axis=0), (1, 1e-12))}
    kinds = ("cls", regression, "ctr")
    levels = [LevelOutputs(*(mx.sym.Variable(f"{kind}_{p}") for kind in kinds)) for p in LEVELS]
    inputs.update({f"{kind}_{p}": arrays[f"{kind}_{p}"] for kind in kinds for p in LEVELS})
    targets = mx.sym.Variable("gt_boxes"), mx.sym.Variable("normalizers")
    symbol = train_losses(levels, *targets, spec, normalised)
    executor = symbol.simple_bind(mx.cpu(), **{name: array.shape for name, array in inputs.items()})
    outputs = executor.forward(is_train=True, **{name: mx.nd.array(array) for name, array in inputs.items()})
    executor.backward()
    prefix = f"{case}__{config}__"
    np.testing.assert_allclose([o.asscalar() for o in outputs], arrays[prefix + "losses"], rtol=1e-5, atol=1e-7)
    assert sum(count.number for count in counts) == arrays[prefix + "npos"]
    for kind, recorded in zip(kinds, ("gcls", "greg", "gctr")):
        for p in LEVELS:
            if f"{prefix}{recorded}_{p}" in arrays:
                found, expected = executor.grad_dict[f"{kind}_{p}"], arrays[f"{prefix}{recorded}_{p}"]
                np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-3, atol=1e-6, err_msg=f"{kind} {p}")
