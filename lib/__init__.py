"""What two or more of the methods share. Importing it, before MXNet, lets MXNet use every core."""

import os
from pathlib import Path


def physical_cores() -> int:
    """Cores this process may run on, two hardware threads of one core counted once."""
    usable = os.sched_getaffinity(0)
    files = [Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") for cpu in usable]
    try:
        return len({file.read_text() for file in files})
    except OSError:
        return len(usable)


# MXNet takes half of the processors it counts, assuming two threads a core: half the speed where that is not so.
os.environ.setdefault("OMP_NUM_THREADS", str(physical_cores()))
