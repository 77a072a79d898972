"""Fair comparisons on a shared machine: candidates take turns, medians are compared, the machine is named."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Callable, Dict, List

import numpy as np

__all__ = ["alternate", "machine", "report"]


def alternate(candidates: Dict[str, Callable[[], object]], rounds: int = 15, warm_up: int = 2) -> Dict[str, float]:
    """Median seconds per call of each candidate; they are called in turn, so that a slow spell hits all of them.

    A candidate must return only when its work is done (MXNet: after wait_to_read).
    """
    seconds: Dict[str, List[float]] = {name: [] for name in candidates}
    for turn in range(warm_up + rounds):
        for name, call in candidates.items():
            start = time.perf_counter()
            call()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def machine() -> str:
    """Processor and number of usable cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {len(os.sched_getaffinity(0))} cores"


def report(what: str, seconds: Dict[str, float], target: float = 0.0) -> float:
    """Prints milliseconds and how many times faster the first candidate is than the second; returns that ratio."""
    (name, fast), (other, slow) = list(seconds.items())[:2]
    ratio = slow / fast
    goal = f" (wanted: {target:g}x)" if target else ""
    print(f"{what}: {name} {1e3 * fast:.1f} ms, {other} {1e3 * slow:.1f} ms: {ratio:.1f}x{goal}")
    return ratio
