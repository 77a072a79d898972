"""Calls a C entry point of the table in cases.py on one device."""

from __future__ import annotations

import ctypes
from types import ModuleType
from typing import Any, List

import numpy as np


def call_entry(library: ctypes.CDLL, device: Any, name: str, entry: Any, cases: ModuleType) -> List[np.ndarray]:
    """Outputs of `<name>_cpu`, or of `<name>_cuda` where the device is a GPU. RuntimeError for a non-zero code."""
    alive: List[Any] = []  # arrays must outlive the call
    outputs: List[Any] = []

    def pointer(array: Any) -> ctypes.c_void_p:
        alive.append(array)
        return ctypes.c_void_p(device.pointer(array))

    def convert(argument: Any) -> Any:
        if isinstance(argument, np.ndarray):
            return pointer(device.put(argument))
        if isinstance(argument, cases.Out):
            outputs.append(device.empty(argument.shape))
            return pointer(outputs[-1])
        if isinstance(argument, cases.Host):
            return ctypes.c_void_p(argument.array.ctypes.data)
        if isinstance(argument, cases.Scratch):
            size = getattr(library, argument.function)
            size.restype = ctypes.c_size_t
            return pointer(device.empty((size(*argument.arguments),), np.uint8))
        if isinstance(argument, cases.Double):
            return ctypes.c_double(argument.value)
        return ctypes.c_float(argument) if isinstance(argument, float) else argument

    kind = "cuda" if device.context == b"gpu" else "cpu"
    arguments = [convert(argument) for argument in entry.arguments]
    code = getattr(library, f"{name}_{kind}")(*arguments, ctypes.c_void_p(device.stream))
    if code != 0:
        raise RuntimeError(f"{name}_{kind} returned {code}")
    return [device.get(output) for output in outputs]
