"""Learning rates, batches of one orientation, and names and sizes of all arrays against the original's."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from fullconv.fcos import assembly, config
from fullconv.fcos.symbols.fcos import test_symbol as network_symbol
from fullconv.lib.convert.state_dict import ours
from fullconv.lib.core.endless_order import grouped_batches
from fullconv.lib.core.matching import expected_shapes
from fullconv.lib.core.optimizer.multipliers import lr_multipliers

CONFIGS = Path(__file__).resolve().parents[3] / "experiments" / "fcos" / "cfgs"
SCHEDULES = {
    "r50_1x": ("fcos_R_50_FPN_1x", {}),
    "r101_2x": ("fcos_R_101_FPN_2x", {}),
    "linear_warmup": ("fcos_R_50_FPN_1x", {"SOLVER.WARMUP_METHOD": "linear"}),
    "mnv2_bs64": ("fcos_syncbn_bs64_c128_ms_MNV2_FPN_1x", {}),
}
TABLES = (
    "R_50_FPN_1x",
    "R_101_FPN_2x",
    "X_101_32x8d_FPN_2x",
    "X_101_64x4d_FPN_2x",
    "imprv_R_50_FPN_1x",
    "imprv_dcnv2_R_50_FPN_1x",
    "imprv_dcnv2_X_101_64x4d_FPN_2x",
    "syncbn_bs32_MNV2_FPN_1x",
    "syncbn_bs32_c128_MNV2_FPN_1x",
)


@pytest.mark.parametrize("tag", SCHEDULES)
def test_rates(fcos_reference: Callable, tag: str) -> None:
    arrays, (name, changes) = fcos_reference("j_lr"), SCHEDULES[tag]
    solver = config.load(str(CONFIGS / f"{name}.yaml"), changes).SOLVER
    rate = assembly.schedule(solver)
    found = [rate(int(iteration) + 1) for iteration in arrays[f"{tag}_last_epoch"]]
    np.testing.assert_allclose(found, arrays[f"{tag}_lr_weight_bias"][:, 0], rtol=1e-12)
    np.testing.assert_allclose(np.multiply(found, solver.BIAS_LR_FACTOR), arrays[f"{tag}_lr_weight_bias"][:, 1])


def test_rates_as_they_were_used(fcos_reference: Callable) -> None:
    arrays = fcos_reference("j_lr")
    changes = {"SOLVER.WARMUP_ITERS": 4, "SOLVER.STEPS": [8, 10], "SOLVER.BASE_LR": 0.01}
    rate = assembly.schedule(config.load(None, changes).SOLVER)
    found = [rate(int(n)) for n in arrays["exec_iter"]]
    np.testing.assert_allclose(found, arrays["exec_lr_used_weight_bias"][:, 0], rtol=1e-12)


@pytest.mark.parametrize("case", [0, 2, 3])
def test_batches_of_one_orientation(fcos_reference: Callable, case: int) -> None:
    arrays = fcos_reference("n_samplers")
    order, groups = arrays[f"case{case}_order"].tolist(), arrays[f"case{case}_groups"].tolist()
    found = grouped_batches(order, groups, int(arrays[f"case{case}_bs"]))
    assert [" ".join(map(str, batch)) for batch in found] == arrays[f"case{case}_batches"].tolist()


@pytest.mark.parametrize("name", TABLES)
def test_names_shapes_and_what_is_frozen(fcos_table: Callable, name: str) -> None:
    rows = [row for row in fcos_table(f"m_state_dict_fcos_{name}") if row["shape"] != "scalar"]
    settings = config.load(str(CONFIGS / f"fcos_{name}.yaml"))
    symbol = network_symbol(assembly.network_spec(settings, settings.MODEL.FCOS.NUM_CLASSES))
    shapes = expected_shapes(symbol, data=(1, 3, 128, 160))
    assert shapes == {ours(row["name"]): tuple(map(int, row["shape"].split("x"))) for row in rows}
    rates = lr_multipliers(symbol, assembly.rules(settings))
    learned = {name for name in symbol.list_arguments() if name != "data" and rates.get(name) != 0}
    assert learned == {ours(row["name"]) for row in rows if row["kind"] == "param"}
