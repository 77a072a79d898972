"""CUDA kernels against the CPU's, on a machine with a GPU and torch or cupy; MXNet is not needed.

Build there with `python -m fullconv.operator_cxx.build` (without MXNet installed, put its include/ and src/lib_api.cc
into a folder named mxnet on PYTHONPATH), then `python -m pytest tests/gpu`. Run once more with CUDA_FORCE_PTX_JIT=1 to
try the PTX entry, and under compute-sanitizer.
"""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fullconv.operator_cxx import c_library, library_path


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"gpu_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def modules() -> Any:
    """The helper modules beside this file, by name."""
    return {name: _module(name) for name in ("caller", "cases", "device", "minihost")}


@pytest.fixture(scope="session")
def library() -> ctypes.CDLL:
    return c_library()


@pytest.fixture(scope="session")
def gpu(modules: Any, library: ctypes.CDLL) -> Any:
    """A GPU, or a skipped test."""
    device = modules["device"].find_gpu()
    if device is None:
        pytest.skip("no GPU that torch or cupy can use")
    if not library.fullconv_has_cuda():
        pytest.skip("the operator library was built without CUDA")
    return device


@pytest.fixture(scope="session")
def cpu(modules: Any) -> Any:
    return modules["minihost"].NumpyDevice()


@pytest.fixture(scope="session")
def path() -> Path:
    return library_path()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with an argument `entry` or `operator` runs for every row of the table."""
    tables = _module("cases")
    for argument, table in (("entry", tables.ENTRIES), ("operator", tables.OPERATORS)):
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, list(table))
