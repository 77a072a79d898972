"""Every operator: the table's calls on the CPU are sound, and a GPU gives the same numbers."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest


def compare(found: List[np.ndarray], expected: List[np.ndarray], atol: float) -> None:
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


def test_entry_repeats_on_cpu(entry: str, modules: Any, library: ctypes.CDLL, cpu: Any) -> None:
    """All of every output is written, twice the same."""
    case = modules["cases"].ENTRIES[entry]
    first, second = (modules["caller"].call_entry(library, cpu, entry, case, modules["cases"]) for _ in range(2))
    assert all(np.isfinite(array).all() for array in first)
    compare(first, second, 0)


def test_entry_on_gpu(entry: str, modules: Any, library: ctypes.CDLL, cpu: Any, gpu: Any) -> None:
    case = modules["cases"].ENTRIES[entry]
    expected, found = (
        modules["caller"].call_entry(library, device, entry, case, modules["cases"]) for device in (cpu, gpu)
    )
    compare(found, expected, case.atol)


def run_operator(name: str, case: Any, modules: Any, path: Path, device: Any) -> List[np.ndarray]:
    host = modules["minihost"].MiniHost(path, device)
    outputs = host.call(name, case.inputs, case.attributes)
    gradients = host.call(name, case.inputs, case.attributes, backward=True) if case.backward else []
    return [*outputs, *gradients]


def test_operator_on_cpu(operator: str, modules: Any, path: Path, cpu: Any) -> None:
    results = run_operator(operator, modules["cases"].OPERATORS[operator], modules, path, cpu)
    assert all(np.isfinite(array).all() for array in results)


def test_operator_on_gpu(operator: str, modules: Any, path: Path, cpu: Any, gpu: Any) -> None:
    case = modules["cases"].OPERATORS[operator]
    expected, found = (run_operator(operator, case, modules, path, device) for device in (cpu, gpu))
    compare(found, expected, case.atol)


def test_every_operator_is_in_the_table(modules: Any, path: Path, cpu: Any) -> None:
    assert set(modules["minihost"].MiniHost(path, cpu).operators) == set(modules["cases"].OPERATORS)


@pytest.mark.parametrize("dim, size", [(42, (38, 63)), (162, (50, 84))])
def test_psroi_pooling_at_full_size_on_gpu(
    dim: int, size: tuple, modules: Any, library: Any, cpu: Any, gpu: Any
) -> None:
    """The published sizes: more work than one grid of blocks, planes beyond 2^24 elements."""
    cases = modules["cases"]
    rois = cases.boxes(300, 16.0 * min(size), images=1)
    sizes = (dim, 7, 21, *size, 300)
    arguments = [cases.normal(1, dim * 49, *size), rois, cases.Out((300, dim, 21, 21)), 1, *sizes, 0.0625]
    arguments.append(cases.Scratch("fullconv_psroi_pooling_workspace", (*sizes, 0)))
    name = "fullconv_psroi_pooling_fwd"
    results = [
        modules["caller"].call_entry(library, device, name, cases.Entry(arguments), cases) for device in (cpu, gpu)
    ]
    np.testing.assert_array_equal(*[result[0] for result in results])
