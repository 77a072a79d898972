"""Work done ahead by threads, in an order that is known beforehand.

Threads, not processes: OpenCV releases the interpreter lock, and forking after MXNet has started can deadlock.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Callable, Iterable, Iterator


class LoaderError(RuntimeError):
    """A batch could not be prepared; the message names the items and the cause."""


def prefetch(
    items: Iterable[Any],
    make: Callable[[Any], Any],
    workers: int = 2,
    ahead: int = 4,
    name: Callable[[Any], str] = repr,
) -> Iterator[Any]:
    """`make(item)` for every item, in order, computed by `workers` threads at most `ahead` items in advance.

    workers 0 computes in the caller's thread. An exception in `make` is raised here, at its item's turn, as
    LoaderError that calls the item `name(item)`; nothing keeps running after that.
    """
    if workers <= 0:
        for item in items:
            yield _result(partial(make, item), item, name)
        return
    pending: deque = deque()
    source = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix="loader") as pool:
        try:
            for item in source:
                pending.append((item, pool.submit(make, item)))
                if len(pending) > ahead:
                    item, future = pending.popleft()
                    yield _result(future.result, item, name)
            while pending:
                item, future = pending.popleft()
                yield _result(future.result, item, name)
        finally:
            for _, future in pending:
                future.cancel()


def _result(get: Callable[[], Any], item: Any, name: Callable[[Any], str]) -> Any:
    try:
        return get()
    except LoaderError:
        raise
    except Exception as error:
        raise LoaderError(f"could not prepare {name(item)}: {type(error).__name__}: {error}") from error
