"""The original's networks, exported: the recorded maps within 1e-4, and MXNet's at other sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcos.exported import outputs
from fullconv.fcos.levels import STRIDES
from fullconv.fcos.model import trained
from fullconv.lib.engines.network import Choice
from tests.reference.fcos.test_whole_network import TAGS, Case

RECORDED = {"logits": "logits", "boxes": "reg", "centerness": "ctr"}


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("tag", TAGS)
def test_maps(tag: str, engine: str, fcos_reference: Callable, fcos_dir: Path) -> None:
    pytest.importorskip(engine)
    case = Case(tag, fcos_reference, fcos_dir)
    found = trained(case.config, str(fcos_dir / f"h_{tag}_zipfmt.pth"), case.config.MODEL.FCOS.NUM_CLASSES)
    mine, other = (found.in_engine(Choice(name), mx.cpu()) for name in ("mxnet", engine))
    maps = other.finish(other.start({"data": case.batch}))
    assert list(maps) == list(outputs(STRIDES).values())
    for name, array in maps.items():
        kind, level = name.split("_")
        expected = case.arrays[f"{RECORDED[kind]}_{level}"]
        limit = 1e-4 * max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(array, expected, rtol=1e-3, atol=limit, err_msg=name)
    # Sides that are no multiples of the strides, and a batch of two.
    data = np.random.RandomState(0).randn(2, 3, 75, 133).astype("float32") * 50
    one, two = (network.finish(network.start({"data": data})) for network in (mine, other))
    for name, expected in one.items():
        limit = 1e-4 * max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(two[name], expected, rtol=0, atol=limit, err_msg=name)
