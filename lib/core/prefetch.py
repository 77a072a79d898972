"""Work done ahead by threads, in an order that is known beforehand.

Threads, not processes: OpenCV releases the interpreter lock, and forking after MXNet has started can deadlock. They are
daemons, so one that hangs, in a dead network drive, ends with the program instead of keeping it.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from typing import Any, Callable, Iterable, Iterator, Optional

PATIENCE = 30.0
"""Seconds that one item may keep the caller waiting."""

WARNED = 1 / 3
"""Share of the patience after which a warning says what is waited for."""

FAREWELL = 1.0
"""Seconds that threads get to finish what they are at; one that hangs is left to itself."""

logger = logging.getLogger(__name__)


class LoaderError(RuntimeError):
    """A batch could not be prepared; the message names the items and the cause."""


class _Task:
    """One item, its result or error, and when it is there."""

    def __init__(self, item: Any) -> None:
        self.item = item
        self.done = threading.Event()
        self.result: Any = None
        self.error: Optional[BaseException] = None

    def run(self, make: Callable[[Any], Any]) -> None:
        try:
            self.result = make(self.item)
        except BaseException as error:  # a SystemExit in a thread would end nothing and be lost
            self.error = error
        self.done.set()


def prefetch(
    items: Iterable[Any],
    make: Callable[[Any], Any],
    workers: int = 2,
    ahead: int = 4,
    name: Callable[[Any], str] = repr,
    patience: float = PATIENCE,
) -> Iterator[Any]:
    """`make(item)` for every item, in order, computed by `workers` threads at most `ahead` items in advance.

    workers 0 computes in the caller's thread. patience: seconds to wait for one item, a third of it before a warning;
    0 waits for ever. An exception in `make`, or an item that is not there in time, is raised here, at its item's turn,
    as LoaderError that calls the item `name(item)`; nothing keeps running after that but what hangs.
    """
    if workers <= 0:
        for item in items:
            task = _Task(item)
            try:
                task.result = make(item)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                task.error = error
            yield _checked(task, name)
        return
    tasks: queue.SimpleQueue = queue.SimpleQueue()
    threads = [threading.Thread(target=_work, args=(tasks, make), daemon=True, name="loader") for _ in range(workers)]
    for thread in threads:
        thread.start()
    pending: deque = deque()
    try:
        for item in items:
            pending.append(_Task(item))
            tasks.put(pending[-1])
            if len(pending) > ahead:
                yield _awaited(pending.popleft(), name, patience)
        while pending:
            yield _awaited(pending.popleft(), name, patience)
    finally:
        _dismiss(tasks, threads)


def _work(tasks: queue.SimpleQueue, make: Callable[[Any], Any]) -> None:
    while True:
        task = tasks.get()
        if task is None:
            return
        task.run(make)


def _dismiss(tasks: queue.SimpleQueue, threads: Iterable[threading.Thread]) -> None:
    """End the threads: nothing that has not begun is done any more."""
    while True:
        try:
            tasks.get_nowait()
        except queue.Empty:
            break
    for _ in threads:
        tasks.put(None)
    until = time.monotonic() + FAREWELL
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def _awaited(task: _Task, name: Callable[[Any], str], patience: float) -> Any:
    if patience <= 0:
        task.done.wait()
    elif not task.done.wait(patience * WARNED):
        logger.warning(
            "WARNING waiting for %s for %.0f s now; an error in another %.0f s (default.loader_timeout)",
            name(task.item),
            patience * WARNED,
            patience * (1 - WARNED),
        )
        if not task.done.wait(patience * (1 - WARNED)):
            raise LoaderError(
                f"{name(task.item)} was not read within {patience:g} s: see whether its disk answers, or set "
                "default.loader_timeout to more seconds, 0 to wait for ever"
            )
    return _checked(task, name)


def _checked(task: _Task, name: Callable[[Any], str]) -> Any:
    error = task.error
    if error is None:
        return task.result
    if isinstance(error, LoaderError):
        raise error
    raise LoaderError(f"could not prepare {name(task.item)}: {type(error).__name__}: {error}") from error
