"""Training by several processes, on one machine or many, that sum their gradients by MPI.

Every process has a copy of the network, knows the order of all images and takes its share of each update
(`lib.core.sampler.Share`). The first one alone writes files. All end together: `World.ending_together`.

Arrays travel as they lie in memory and nothing is unpickled: only mpi4py's calls with a capital letter are used here.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Mapping, NoReturn, Tuple

import numpy as np

if TYPE_CHECKING:  # it takes seconds to load, and who waits for the others has no need of it
    import mxnet as mx

MPI = "mpi"
"""The `kvstore` of a configuration that means this."""

GRACE = 3.0
"""Seconds that a process which fails leaves the first one to say what it knows, before it ends all."""

NAP = 0.05
"""Seconds between two looks at whether the others are there at most; MPI's own waiting takes a whole core."""

NAP_SHARE = 0.1
"""A nap's share of the waiting so far: little is lost where the others come soon."""

BUCKET = 2**20
"""Numbers in one message. Smaller ones cost latency, larger ones leave the processor's cache."""


class World:
    """The processes of a run, and this one's number `rank` among the `size` of them; without `comm` it is alone.

    What is said to need all processes must be called by every one of them, in the same order.
    """

    def __init__(self, comm: Any = None) -> None:
        self.comm = comm
        self.rank: int = comm.Get_rank() if comm is not None else 0
        self.size: int = comm.Get_size() if comm is not None else 1
        self.first = self.rank == 0

    def __str__(self) -> str:
        return f"process {self.rank} of {self.size} on {socket.gethostname()}"

    # ---------------------------------------------------------------------------------------- what all do at once

    def sum(self, array: np.ndarray) -> None:
        """Replace a contiguous array by its sum over the processes. All processes."""
        if self.size > 1:
            from mpi4py import MPI as mpi

            self.comm.Allreduce(mpi.IN_PLACE, array)

    def share(self, array: np.ndarray) -> None:
        """Replace a contiguous array by the first process's. All processes."""
        if self.size > 1:
            self.comm.Bcast(array)

    def of_first(self, ask: Callable[[], int]) -> int:
        """The answer of the first process, which alone is asked. All processes."""
        answer = np.array([int(ask()) if self.first else 0], np.int64)
        self.rest()
        self.share(answer)
        return int(answer[0])

    def texts(self, mine: str) -> List[str]:
        """Everybody's text, by rank. All processes."""
        own = np.frombuffer(mine.encode(), np.uint8)
        length = np.zeros(self.size, np.int64)
        length[self.rank] = len(own)
        self.rest()
        self.sum(length)
        ends = np.cumsum(length)
        everything = np.zeros(int(ends[-1]), np.uint8)
        everything[ends[self.rank] - len(own) : ends[self.rank]] = own
        self.sum(everything)  # each byte is one process's
        return [part.tobytes().decode() for part in np.split(everything, ends[:-1])]

    def rest(self) -> None:
        """Wait, without using a core, until all processes are here. All processes."""
        if self.size > 1:
            request, began = self.comm.Ibarrier(), time.monotonic()
            while not request.Test():
                time.sleep(min(NAP, NAP_SHARE * (time.monotonic() - began)))

    # ------------------------------------------------------------------------------------------------- the end

    @contextlib.contextmanager
    def ending_together(self) -> Iterator[None]:
        """Whatever ends one process inside ends all, with an exit status that is not 0; none leaves before the others.

        Without it the others would wait for ever for the sum of the one that is gone.
        """
        try:
            yield
        except BaseException as error:
            if self.size == 1:
                raise
            self._end_all(error)
        self.rest()

    def _end_all(self, error: BaseException) -> NoReturn:
        if not isinstance(error, SystemExit):
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        if not self.first:
            time.sleep(GRACE)
        code = error.code if isinstance(error, SystemExit) else 1
        self.comm.Abort(code if isinstance(code, int) and code else 1)
        os._exit(1)  # Abort does not return


ALONE = World()


STARTED = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")
"""One of these is in the environment of a process that an MPI's launcher started."""


def started_processes() -> int:
    """How many processes were started together with this one, as far as what started them says so."""
    told = [int(os.environ.get(name) or 1) for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")]
    return max(*told, int(os.environ.get("PMIX_RANK") or 0) + 1)


def join(kvstore: str) -> World:
    """The world of a run with this `kvstore`: the processes that were started together with this one, or it alone.

    Raises ImportError: mpi4py or an MPI library is missing; ValueError: several processes were started that do not
    know each other, and would train the same side by side.
    """
    if kvstore == MPI:
        return _joined()
    if started_processes() > 1:
        raise ValueError(
            f"this is one of {started_processes()} processes that were started together, and each would train for "
            f"itself with kvstore {kvstore}: set it to {MPI} (docs/several_machines.md)"
        )
    return ALONE


@functools.lru_cache(maxsize=None)
def _joined() -> World:
    if not any(name in os.environ for name in STARTED):
        # There is nobody to talk to, and MPICH would open ports all the same.
        os.environ.setdefault("UCX_TLS", "self,sm")
        os.environ.setdefault("OMPI_MCA_btl", "self")
    try:
        from mpi4py import MPI as mpi
    except (ImportError, RuntimeError) as error:  # RuntimeError: there is no MPI library that it could load
        raise ImportError(
            f"kvstore {MPI} needs mpi4py and an MPI library ({error}): pip install mpi4py mpich, or load your "
            "cluster's MPI (docs/several_machines.md)"
        ) from None
    world = World(mpi.COMM_WORLD)
    if world.size < started_processes():
        raise ValueError(
            f"{started_processes()} processes were started and {world.size} found each other: mpi4py uses "
            f"{mpi.Get_library_version().splitlines()[0]}, and what started them belongs to another MPI. Use the "
            "mpirun of that one, or python -m fullconv.lib.tools.launch with the package mpich"
        )
    if world.size > 1:
        _follow_parent(str(world))
    return world


def _follow_parent(who: str) -> None:
    """End this process when the one that started it, which watches over all, is gone: nobody else would."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        sys.stderr.write(f"{who}: the process that started it (pid {parent}) is gone: ending\n")
        os._exit(1)

    if parent > 1:
        threading.Thread(target=watch, daemon=True, name="parent").start()


# ------------------------------------------------------------------------------------------------- many arrays


class Buckets:
    """Arrays that are summed together, the last first: so the first message can go while the backward pass, which
    computes their gradients in that order, is still at the earlier layers.

    shapes: of the arrays by name, in the order of the network.
    """

    def __init__(self, world: World, shapes: Mapping[str, Tuple[int, ...]]) -> None:
        self.world = world
        self.groups: List[Dict[str, int]] = [{}]
        for name in reversed(list(shapes)):
            numbers = int(np.prod(shapes[name]))
            if self.groups[-1] and sum(self.groups[-1].values()) + numbers > BUCKET:
                self.groups.append({})
            self.groups[-1][name] = numbers
        self.buffer = np.empty(max(sum(group.values()) for group in self.groups), np.float32)

    def sum(self, arrays: Mapping[str, mx.nd.NDArray]) -> None:
        """Replace float32 arrays by their sums over the processes. All processes."""
        for number, group in enumerate(self.groups):
            message = self.buffer[: sum(group.values())]
            ends = np.cumsum(list(group.values()))
            places = dict(zip(group, np.split(message, ends[:-1])))
            for name, place in places.items():
                place[:] = arrays[name].asnumpy().reshape(-1)
            if number == 0:
                self.world.rest()
            for begin in range(0, len(message), BUCKET):
                self.world.sum(message[begin : begin + BUCKET])
            for name, place in places.items():
                arrays[name][:] = place.reshape(arrays[name].shape)


def share_arrays(world: World, arrays: Mapping[str, mx.nd.NDArray]) -> bool:
    """Replace arrays by the first process's; returns whether they were already the same. All processes."""
    same = True
    for array in arrays.values():
        mine = array.asnumpy()
        given = np.array(mine, order="C")
        world.share(given)
        if mine.tobytes() != given.tobytes():  # bytes: nan is equal to itself
            same = False
            array[:] = given
    different = np.array([not same], np.int64)
    world.sum(different)
    return not different[0]
