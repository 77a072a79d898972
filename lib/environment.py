"""What MXNet reads from the environment when it is loaded, settled before that; a value of the user's own wins."""

import os
import sys
from pathlib import Path

SETTINGS = {
    # By default MXNet adds up to 8 gradients of one tensor in place, and asks extension operators, which overwrite, to
    # do the adding beyond that (fullconv.lib.operators.library): larger than any fan-out keeps that from happening.
    "MXNET_EXEC_INPLACE_GRAD_SUM_CAP": "1000",
    "MXNET_SUBGRAPH_VERBOSE": "0",
    # oneDNN's primitives that each operator keeps, one per shape of its input; unbounded by default, so that memory
    # grows with every new size of image. Measured over random sizes on one core, 16 times slimmer FCN-32s and the small
    # FCIS: 300 kept 4.8 GB and 0.75 GB after 150 and 90 steps, 5 kept 0.79 GB and 0.60 GB, at the same time per step.
    "MXNET_MKLDNN_CACHE_NUM": "5",
    # Images come in many sizes: cuDNN would try its algorithms anew at each, for longer than the better one saves.
    "MXNET_CUDNN_AUTOTUNE_DEFAULT": "0",
    # Peer access fails on machines whose GPUs hang on different sockets; the originals switch it off as well.
    "MXNET_ENABLE_GPU_P2P": "0",
}

MXNET_WAS_FIRST = False
"""Whether MXNet may have bound executors by other values than these (`fullconv.lib.operators.library` checks)."""


def prepare() -> None:
    """Fill in what the user has not set. Threads: MXNet takes half of the processors it counts, assuming two hardware
    threads a core, which is half the speed where that is not so.

    Raises RuntimeError: MXNet would take part in a cluster of its own kind.
    """
    role = os.environ.get("DMLC_ROLE")
    if role:
        # As a server, `import mxnet` would not return, but unpickle what comes in on a port of all addresses.
        raise RuntimeError(
            f"DMLC_ROLE is {role!r}: MXNet's parameter server is not used here. Remove it; several processes train "
            "with kvstore mpi (docs/several_machines.md)"
        )
    global MXNET_WAS_FIRST
    MXNET_WAS_FIRST = "mxnet" in sys.modules and "MXNET_EXEC_INPLACE_GRAD_SUM_CAP" not in os.environ
    os.environ.setdefault("OMP_NUM_THREADS", str(physical_cores()))
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def physical_cores() -> int:
    """Cores this process may run on, two hardware threads of one core counted once."""
    usable = os.sched_getaffinity(0)
    files = [Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") for cpu in usable]
    try:
        return len({file.read_text() for file in files})
    except OSError:
        return len(usable)
