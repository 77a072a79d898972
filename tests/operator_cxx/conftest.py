"""The operator library's C interface, without MXNet: these tests also run under AddressSanitizer, and so do those of
the operators inside MXNet (`bash .ci/sanitize`)."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any, Callable

import numpy as np
import pytest

from fullconv.operator_cxx import c_library, library_path

GPU_TESTS = Path(__file__).resolve().parents[1] / "gpu"


def as_argument(value: Any) -> Any:
    """Arrays by address, integers as C int, floats as C float."""
    if isinstance(value, np.ndarray):
        assert value.flags["C_CONTIGUOUS"], "a C entry point needs contiguous arrays"
        return ctypes.c_void_p(value.ctypes.data)
    if isinstance(value, float):
        return ctypes.c_float(value)
    return value


@pytest.fixture(scope="session")
def c_call() -> Callable[..., None]:
    """`c_call("fullconv_x_cpu", array, 3, 0.5, ...)` calls an entry point on the default stream and checks its code."""
    library = c_library()

    def call(entry: str, *arguments: Any) -> None:
        code = getattr(library, entry)(*map(as_argument, arguments), None)
        assert code == 0, f"{entry} returned {code}"

    return call


@pytest.fixture(scope="session")
def c_scratch() -> Callable[..., np.ndarray]:
    """`c_scratch("fullconv_x_workspace", 3, ...)`: exactly as many bytes as the library asks for."""
    library = c_library()

    def scratch(entry: str, *arguments: int) -> np.ndarray:
        function = getattr(library, entry)
        function.restype = ctypes.c_size_t
        return np.full(function(*arguments), 0xAB, np.uint8)

    return scratch


@pytest.fixture(scope="session")
def minihost() -> ModuleType:
    """The module tests/gpu/minihost.py."""
    spec = importlib.util.spec_from_file_location("minihost", GPU_TESTS / "minihost.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture()
def host(minihost: ModuleType) -> Any:
    """The library behind MXNet's extension interface."""
    return minihost.MiniHost(library_path())
