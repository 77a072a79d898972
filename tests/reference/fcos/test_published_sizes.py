"""The nineteen published networks at their full size: a file with the original's names and shapes, filled with random
numbers, loads strictly, detects, and goes out again as it came.

Three of them in every run; all nineteen (about a quarter of an hour) with

    PUBLISHED_SIZES=all .venv/bin/python -m pytest -s tests/reference/fcos/test_published_sizes.py
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Tuple

import mxnet as mx
import numpy as np
import pytest

from fullconv.fcos import assembly
from fullconv.fcos import config as fcos_config
from fullconv.fcos.model import load_detectors
from fullconv.fcos.symbols.fcos import test_symbol as network_symbol
from fullconv.fcos.weights import load_model
from fullconv.lib.convert import torch_writer, weights
from fullconv.lib.convert.state_dict import COUNTERS, theirs
from fullconv.lib.core.matching import expected_shapes

CONFIGS = Path(__file__).resolve().parents[3] / "experiments" / "fcos" / "cfgs"
CLASSES = 81
ALWAYS = ("imprv_R_50_FPN_1x", "imprv_dcnv2_R_50_FPN_1x", "syncbn_bs32_c128_MNV2_FPN_1x")
"""One of each kind, as fast as they come."""

Shapes = Dict[str, Tuple[int, ...]]


class Published(NamedTuple):
    """table: the recorded state_dict that has the names and shapes. deformed: layers whose 3x3 convolutions become
    deformable, and with them the towers' last ones, where the table is of the network without.
    """

    table: str
    deformed: Tuple[int, ...] = ()


PUBLISHED = {
    "R_50_FPN_1x": Published("R_50_FPN_1x"),
    "R_101_FPN_2x": Published("R_101_FPN_2x"),
    "X_101_32x8d_FPN_2x": Published("X_101_32x8d_FPN_2x"),
    "X_101_64x4d_FPN_2x": Published("X_101_64x4d_FPN_2x"),
    "imprv_R_50_FPN_1x": Published("imprv_R_50_FPN_1x"),
    "imprv_R_101_FPN_1x": Published("R_101_FPN_2x"),
    "imprv_R_101_FPN_2x": Published("R_101_FPN_2x"),
    "imprv_X_101_32x8d_FPN_2x": Published("X_101_32x8d_FPN_2x"),
    "imprv_X_101_64x4d_FPN_2x": Published("X_101_64x4d_FPN_2x"),
    "imprv_dcnv2_R_50_FPN_1x": Published("imprv_dcnv2_R_50_FPN_1x"),
    "imprv_dcnv2_R_101_FPN_1x": Published("R_101_FPN_2x", (2, 3, 4)),
    "imprv_dcnv2_R_101_FPN_2x": Published("R_101_FPN_2x", (2, 3, 4)),
    "imprv_dcnv2_X_101_32x8d_FPN_2x": Published("X_101_32x8d_FPN_2x", (3, 4)),
    "imprv_dcnv2_X_101_64x4d_FPN_2x": Published("imprv_dcnv2_X_101_64x4d_FPN_2x"),
    "bn_bs16_MNV2_FPN_1x": Published("syncbn_bs32_MNV2_FPN_1x"),
    "syncbn_bs32_MNV2_FPN_1x": Published("syncbn_bs32_MNV2_FPN_1x"),
    "syncbn_bs32_c128_MNV2_FPN_1x": Published("syncbn_bs32_c128_MNV2_FPN_1x"),
    "syncbn_bs32_c128_ms_MNV2_FPN_1x": Published("syncbn_bs32_c128_MNV2_FPN_1x"),
    "syncbn_bs64_c128_ms_MNV2_FPN_1x": Published("syncbn_bs32_c128_MNV2_FPN_1x"),
}


@pytest.fixture(scope="module")
def table(fcos_table: Callable) -> Callable[[str], Shapes]:
    """Shapes by state_dict name of a recorded table; a counter has the shape ()."""

    def load(name: str) -> Shapes:
        rows = fcos_table(f"m_state_dict_fcos_{name}")
        return {r["name"]: () if r["shape"] == "scalar" else tuple(map(int, r["shape"].split("x"))) for r in rows}

    return load


def deformed(shapes: Shapes, layers: Tuple[int, ...]) -> Shapes:
    """Where a convolution becomes deformable: version 2 has 27 numbers per place, from a convolution with bias of as
    many inputs as it has itself, all groups together.
    """
    bodies = tuple(f"backbone.body.layer{layer}." for layer in layers)
    towers = tuple(f"rpn.head.{tower}_tower.9." for tower in ("cls", "bbox")) if layers else ()
    result: Shapes = {}
    for name, shape in shapes.items():
        layer, _, part = name.rpartition(".")
        if not ((name.startswith(bodies) and layer.endswith(".conv2")) or name.startswith(towers)) or not layers:
            result[name] = shape
            continue
        if part == "weight":
            result[f"{layer}.offset.weight"] = (27, shape[0], 3, 3)
            result[f"{layer}.offset.bias"] = (27,)
        result[f"{layer}.conv.{part}"] = shape
    return result


def published(name: str, table: Callable[[str], Shapes]) -> Shapes:
    return deformed(table(PUBLISHED[name].table), PUBLISHED[name].deformed)


def filled(shapes: Shapes) -> Dict[str, np.ndarray]:
    """Random numbers that keep activations of a hundred layers finite."""
    rng, arrays = np.random.default_rng(0), {}
    for name, shape in shapes.items():
        if not shape:
            arrays[name] = np.array(7, "i8")
        elif len(shape) == 4:
            arrays[name] = rng.standard_normal(shape, "f4") / np.float32(np.sqrt(np.prod(shape[1:])))
        elif name.endswith((".weight", ".running_var", ".scale")):
            arrays[name] = rng.random(shape, "f4") + np.float32(0.5)
        else:
            arrays[name] = rng.standard_normal(shape, "f4") * np.float32(0.1)
    return arrays


def test_a_configuration_each() -> None:
    files = {path.stem[len("fcos_") :] for path in CONFIGS.glob("fcos_*FPN_[12]x.yaml")}
    assert set(PUBLISHED) == files and len(files) == 19


@pytest.mark.parametrize(
    "plain, deformable, layers",
    [
        ("imprv_R_50_FPN_1x", "imprv_dcnv2_R_50_FPN_1x", (2, 3, 4)),
        ("X_101_64x4d_FPN_2x", "imprv_dcnv2_X_101_64x4d_FPN_2x", (3, 4)),
    ],
)
def test_the_rule_of_deformable_layers_is_that_of_the_tables(
    table: Callable, plain: str, deformable: str, layers: tuple
) -> None:
    assert deformed(table(plain), layers) == table(deformable)


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_shapes(table: Callable, name: str) -> None:
    config = fcos_config.load(str(CONFIGS / f"fcos_{name}.yaml"))
    ours = expected_shapes(network_symbol(assembly.network_spec(config, CLASSES)), data=(1, 3, 128, 160))
    expected = {key: shape for key, shape in published(name, table).items() if not key.endswith(COUNTERS)}
    assert {theirs(key): shape for key, shape in ours.items()} == expected


def chosen() -> List[str]:
    return list(PUBLISHED) if os.environ.get("PUBLISHED_SIZES") == "all" else list(ALWAYS)


@pytest.mark.parametrize("name", chosen())
def test_loads_detects_and_goes_out_again(table: Callable, tmp_path: Path, name: str) -> None:
    began, path, again = time.time(), str(tmp_path / "model.pth"), str(tmp_path / "again.pth")
    arrays = filled(published(name, table))
    torch_writer.write(path, {f"module.{key}": array for key, array in arrays.items()})
    keys = {"INPUT.MIN_SIZE_TEST": 160, "INPUT.MAX_SIZE_TEST": 224, "MODEL.FCOS.INFERENCE_TH": 0.3}
    config = fcos_config.load(str(CONFIGS / f"fcos_{name}.yaml"), keys)
    (detector,) = load_detectors(config, path, CLASSES, [mx.cpu()])
    found = detector.detect(np.random.RandomState(0).randint(0, 256, (240, 320, 3)).astype(np.uint8))
    assert len(found) and np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()
    assert found.boxes.min() >= 0 and found.boxes[:, 2].max() < 320 and found.boxes[:, 3].max() < 240
    assert set(found.labels) <= set(range(1, CLASSES))
    del detector
    shapes = expected_shapes(network_symbol(assembly.network_spec(config, CLASSES)), data=(1, 3, 128, 160))
    weights.write(again, {theirs(key): array.asnumpy() for key, array in load_model(shapes, path).items()})
    kept = {key: array for key, array in arrays.items() if not key.endswith(COUNTERS)}
    read = weights.read(again)
    assert set(read) == set(kept)
    for key, array in kept.items():
        np.testing.assert_array_equal(read[key], array, err_msg=key)
    numbers, size = sum(array.size for array in arrays.values()), os.path.getsize(path) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"\n{name}: {len(arrays)} arrays, {numbers} numbers, {size:.0f} MB, {len(found)} found, "
        f"{time.time() - began:.0f} s, peak of the process so far {peak:.1f} GB"
    )
