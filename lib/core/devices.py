"""Which devices to run on: `--gpus 0,1` and `--devices cpu:2` to MXNet contexts."""

from __future__ import annotations

import ctypes
import os
from typing import Any, List, NamedTuple

import mxnet as mx
from mxnet.base import _LIB, check_call

from fullconv.lib.environment import physical_cores

RANDOM_STATES = 32
"""Random states per processor device. MXNet gives one to each of our operators in turn, even to those that draw
nothing, and operators that hold the same one wait for each other."""


class Devices(NamedTuple):
    """Where to run, and how many batches each device must take for one that was asked for: `len(contexts)` devices
    that accumulate `accumulate` times as many batches make the updates that the devices of the config would.
    """

    contexts: List[mx.Context]
    accumulate: int = 1


def parse_devices(gpus: str = "", devices: str = "") -> List[mx.Context]:
    """The contexts of `choose_devices`, for who does not train."""
    return choose_devices(gpus, devices).contexts


def choose_devices(gpus: str = "", devices: str = "") -> Devices:
    """Devices named by the options, or by the config's `gpus` and `default.devices`.

    gpus: '0,1,2,3'. devices: 'cpu', 'cpu:2' (two CPU contexts), 'gpu:0,1'; it wins over `gpus` when given. Where a
    machine has fewer GPUs than `gpus` names, as published configs do, those that are there stand in for them, and
    where it has none one CPU device does, with a printed line.

    Raises ValueError: text that is neither, or `devices` names a GPU that is not there.
    """
    text = str(devices or "").strip().lower()
    if text.startswith("cpu"):
        count = text[3:].lstrip(":") or "1"
        if not count.isdigit() or int(count) < 1:
            raise ValueError(f"devices={devices!r}: after 'cpu:' comes how many, for example cpu:2")
        return Devices(_processors(int(count)))
    explicit = text.startswith("gpu")
    wanted = text[3:].lstrip(":") or "0" if explicit else str(gpus).strip()
    if text and not explicit:
        raise ValueError(f"devices={devices!r}: use cpu, cpu:N or gpu:0,1,...")
    if not wanted:
        return Devices(_processors(1))
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


def _gpus(indices: List[int], explicit: bool) -> Devices:
    available = mx.context.num_gpus()
    if len(set(indices)) < len(indices) or min(indices) < 0:
        raise ValueError(f"gpus {indices}: each GPU once, by its number from 0")
    if available > max(indices):
        return Devices([mx.gpu(i) for i in indices])
    if explicit:
        raise ValueError(
            f"gpu:{max(indices)} was asked for, and MXNet sees {available} GPUs; `python -m fullconv.lib.env` says why"
        )
    count = len(indices)
    # As many as share the work evenly: each update must be of the same batches.
    used = max((n for n in range(1, available + 1) if count % n == 0), default=0)
    there = sorted(range(available), key=lambda i: (i not in indices, i))[:used]
    contexts = [mx.gpu(i) for i in there] or _processors(1)
    found = Devices(contexts, count // len(contexts))
    stand_in = f"GPUs {there}" if there else "one CPU device"
    print(
        f"gpus {indices} are not all here (MXNet sees {available}): {stand_in} will do, in training with "
        f"{found.accumulate} times as many batches per device, which makes the same updates. --gpus or --devices "
        "choose others"
    )
    return found
