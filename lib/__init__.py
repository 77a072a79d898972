"""What two or more of the methods share. Importing it, before MXNet, settles what MXNet reads when it starts."""

import os
import sys
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

# Whether MXNet may have bound executors by an earlier value of this (lib.operators.library says what it is for).
MXNET_WAS_FIRST = "mxnet" in sys.modules and "MXNET_EXEC_INPLACE_GRAD_SUM_CAP" not in os.environ
os.environ.setdefault("MXNET_EXEC_INPLACE_GRAD_SUM_CAP", "1000")
os.environ.setdefault("MXNET_SUBGRAPH_VERBOSE", "0")
os.environ.setdefault("MXNET_MKLDNN_CACHE_NUM", "300")  # unbounded by default: memory would grow with every new shape
