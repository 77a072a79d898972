"""The head against the original's, with its weights: all three outputs, as in training and as in testing."""

from __future__ import annotations

from typing import Callable, List

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcos.levels import LEVELS, STRIDES
from fullconv.fcos.symbols.fcos import OUTPUTS
from fullconv.fcos.symbols.head import Head
from fullconv.fcos.symbols.spec import HeadSpec
from fullconv.lib.convert.state_dict import theirs
from fullconv.lib.network.backbone import FeatureMap

HEADS = {
    "base_c32": (HeadSpec(80), 32),
    "imprv_c32": (HeadSpec(20, normalised=True, centerness_on_boxes=True), 32),
    "imprv_c64_2conv": (HeadSpec(10, 2, normalised=True, centerness_on_boxes=True), 64),
    "imprv_dcn_c32": (HeadSpec(0, 2, normalised=True, centerness_on_boxes=True, deformable=True), 32),
}
RECORDED = dict(zip(OUTPUTS, ("logits", "bbox_reg", "centerness")))


def bind(spec: HeadSpec, channels: int, shapes: dict) -> mx.executor.Executor:
    levels = [FeatureMap(mx.sym.Variable(f"x_{p}"), s, channels) for p, s in zip(LEVELS, STRIDES)]
    outputs: List[mx.sym.Symbol] = [symbol for level in Head(spec, channels)(levels) for symbol in level]
    return mx.sym.Group(outputs).simple_bind(mx.cpu(), grad_req="null", **shapes)


@pytest.mark.parametrize("head", HEADS)
def test_all_outputs(fcos_reference: Callable, head: str) -> None:
    arrays, (spec, channels) = fcos_reference(f"d_head_{head}"), HEADS[head]
    spec = HeadSpec(**{**vars(spec), "classes": arrays["eval/logits_P3"].shape[1]})
    executor = bind(spec, channels, {f"x_{p}": arrays[f"x_{p}"].shape for p in LEVELS})
    weights = {name for name in executor.arg_dict if not name.startswith("x_")}
    assert {theirs(name)[len(spec.prefix) :] for name in weights} == {k[2:] for k in arrays if k.startswith("w/")}
    for name, array in executor.arg_dict.items():
        array[:] = arrays[name] if name.startswith("x_") else arrays[f"w/{theirs(name)[len(spec.prefix) :]}"]
    outputs = [output.asnumpy() for output in executor.forward(is_train=False)]
    keys = [(kind, p, stride) for p, stride in zip(LEVELS, STRIDES) for kind in OUTPUTS]
    for (kind, p, stride), output in zip(keys, outputs):
        for mode in ("train", "eval"):
            factor = stride if spec.normalised and mode == "eval" and kind == "boxes" else 1
            expected = arrays.get(f"{mode}/{RECORDED[kind]}_{p}")
            if expected is not None:
                atol = 1e-4 * np.abs(expected).max()
                np.testing.assert_allclose(factor * output, expected, rtol=1e-4, atol=atol, err_msg=f"{kind} {p}")
