"""Which devices to run on: `--gpus 0,1` and `--devices cpu:2` to MXNet contexts."""

from __future__ import annotations

import ctypes
import os
from typing import Any, List

import mxnet as mx
from mxnet.base import _LIB, check_call

from fullconv.lib.environment import physical_cores

RANDOM_STATES = 32
"""Random states per processor device. MXNet gives one to each of our operators in turn, even to those that draw
nothing, and operators that hold the same one wait for each other."""


def parse_devices(gpus: str = "", devices: str = "") -> List[mx.Context]:
    """Contexts named by the options, or by the config's `gpus` and `default.devices`.

    gpus: '0,1,2,3'. devices: 'cpu', 'cpu:2' (two CPU contexts), 'gpu:0,1'; it wins over `gpus` when given.
    Without a GPU that works, the published configs' `gpus` fall back to one CPU device with a printed line.
    Raises ValueError for text that is neither.
    """
    text = str(devices or "").strip().lower()
    if text.startswith("cpu"):
        count = text[3:].lstrip(":") or "1"
        if not count.isdigit() or int(count) < 1:
            raise ValueError(f"devices={devices!r}: after 'cpu:' comes how many, for example cpu:2")
        return _processors(int(count))
    explicit = text.startswith("gpu")
    wanted = text[3:].lstrip(":") or "0" if explicit else str(gpus).strip()
    if text and not explicit:
        raise ValueError(f"devices={devices!r}: use cpu, cpu:N or gpu:0,1,...")
    if not wanted:
        return _processors(1)
    try:
        indices = [int(part) for part in wanted.split(",")]
    except ValueError as error:
        raise ValueError(f"gpus={gpus!r}: a comma-separated list of numbers is expected, for example 0,1") from error
    return _gpus(indices, explicit)


def _processors(count: int) -> List[mx.Context]:
    """Devices that compute at the same time, each with its share of the cores."""
    contexts = [mx.cpu(i) for i in range(count)]
    if count > 1:
        # Read when MXNet first hands out a random state.
        os.environ.setdefault("MXNET_CPU_PARALLEL_RAND_COPY", str(RANDOM_STATES * count))
    for context in contexts:
        _limit_threads(context, max(1, _threads() // count))
    return contexts


def _threads() -> int:
    """What OMP_NUM_THREADS says, else the cores, as OpenMP has it."""
    number = os.environ.get("OMP_NUM_THREADS", "").strip()
    return int(number) if number.isdigit() and int(number) else physical_cores()


class _Context(ctypes.Structure):
    """MXNet's own struct."""

    _fields_ = [("type", ctypes.c_int), ("number", ctypes.c_int32)]


EngineFunction = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
"""Of a pointer that is MXNet's, and a number."""


def run_on(context: mx.Context, function: Any, number: int = 0) -> None:
    """Let the thread that runs a processor device's operators call an EngineFunction, which must outlive the call."""
    place = _Context(context.device_typeid, context.device_id)
    none = (None, 0)
    check_call(
        _LIB.MXEnginePushSync(
            function, ctypes.c_void_p(number), None, ctypes.byref(place), *none, *none, None, 0, b"run_on"
        )
    )


@EngineFunction
def _set_threads(_: int, count: int) -> None:
    _LIB.MXSetNumOMPThreads(count)


def _limit_threads(context: mx.Context, count: int) -> None:
    """Threads that operators on a processor device use. OpenMP keeps their number for each thread that starts some."""
    run_on(context, _set_threads, count)
    mx.nd.waitall()


def _gpus(indices: List[int], explicit: bool) -> List[mx.Context]:
    available = mx.context.num_gpus()
    if available > max(indices):
        return [mx.gpu(i) for i in indices]
    if explicit:
        raise ValueError(
            f"gpu:{max(indices)} was asked for, and MXNet sees {available} GPUs; `python -m fullconv.lib.env` says why"
        )
    print(
        f"No GPU {max(indices)} here (MXNet sees {available}): one CPU device stands in for gpus {indices}. "
        f"--set TRAIN.grad_accumulate {len(indices)} (FCN: TRAIN.iter_size) trains as {len(indices)} devices do."
    )
    return _processors(1)
