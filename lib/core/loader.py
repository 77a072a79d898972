"""Batches prepared ahead by threads, in an order that is known beforehand.

Threads, not processes: OpenCV releases the interpreter lock, and forking after MXNet has started can deadlock. What
a batch holds depends only on its place in the order, never on which thread made it, so runs repeat exactly.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Callable, Dict, Iterable, Iterator, List, Sequence

import numpy as np


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


def aspect_grouped_order(
    widths: Sequence[int], heights: Sequence[int], batch: int, rng, original_quirk: bool = False
) -> np.ndarray:
    """Random order of the images in which those of one batch have one orientation (wide or tall), where possible.

    Wide (w >= h) and tall images are permuted separately, put one after the other and cut into batches; the batches
    are permuted; what does not fill a batch stays last. Three draws of `rng` (numpy RandomState): wide, tall, batches.
    original_quirk: True repeats the original where the number of images is a multiple of `batch`: there its batches
    stay unpermuted, all wide images first, because of an empty slice.
    """
    widths, heights = np.asarray(widths), np.asarray(heights)
    wide = widths >= heights
    order = np.hstack([rng.permutation(np.where(wide)[0]), rng.permutation(np.where(~wide)[0])])
    extra = len(order) % batch
    full = order[: len(order) - extra]
    if original_quirk and extra == 0:
        full = order[:0]
    rows = full.reshape(-1, batch)
    return np.hstack([rows[rng.permutation(len(rows))].reshape(-1), order[len(full) :]]).astype(int)


def shuffled_order(count: int, rng) -> np.ndarray:
    """A random order of `count` items (numpy's shuffle of 0..count-1)."""
    order = np.arange(count)
    rng.shuffle(order)
    return order


def batches_of(order: Sequence[int], size: int) -> List[List[int]]:
    """Cut an order into full batches of `size`, dropping an incomplete last one."""
    return [list(order[i * size : (i + 1) * size]) for i in range(len(order) // size)]


def pad_stack(arrays: Sequence[np.ndarray], fill: float = 0.0) -> np.ndarray:
    """Stack arrays of one rank along a new first axis, padding each at its end to the largest shape."""
    shape = tuple(max(sizes) for sizes in zip(*(a.shape for a in arrays)))
    out = np.full((len(arrays),) + shape, fill, dtype=arrays[0].dtype)
    for row, array in zip(out, arrays):
        row[tuple(slice(0, size) for size in array.shape)] = array
    return out


def collate(samples: Sequence[Dict[str, np.ndarray]], fills: Dict[str, float]) -> Dict[str, np.ndarray]:
    """One batch from samples with the same keys; `fills` gives the padding value of a key (default 0)."""
    return {key: pad_stack([s[key] for s in samples], fills.get(key, 0.0)) for key in samples[0]}
