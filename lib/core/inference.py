"""A trained network over many images: read by threads, dealt to devices in turn, with an account of where time goes."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Callable, Dict, Iterable, Iterator, Protocol, Sequence, Tuple

from fullconv.lib.core.prefetch import PATIENCE, prefetch


class Device(Protocol):
    """A network on one device, as `infer` uses it."""

    def start(self, sample: Any) -> Any:
        """Queue the computation of a sample; does not wait for it."""
        ...

    def finish(self, sample: Any, started: Any, on_outputs: Callable[[], None]) -> Any:
        """Wait for what `start` returned, call `on_outputs` when the network is done, and make the result of it."""
        ...


def infer(
    devices: Sequence[Device],
    order: Iterable[int],
    load: Callable[[int], Any],
    clock: StepClock,
    workers: int = 2,
    name: Callable[[int], str] = repr,
    patience: float = PATIENCE,
) -> Iterator[Tuple[int, Any]]:
    """(index, result) for every index of `order`, in order; `load(index)` makes a sample in one of `workers` threads.

    While one image is finished the next is already queued. Raises LoaderError that calls what could not be read
    `name(index)`, or did not come within `patience` seconds.
    """

    def start(device: Device, item: Tuple[int, Any]) -> Tuple[int, Any, Any]:
        clock.lap("data")
        index, sample = item
        return index, sample, device.start(sample)

    def finish(device: Device, started: Tuple[int, Any, Any]) -> Tuple[int, Any]:
        index, sample, queued = started
        return index, device.finish(sample, queued, lambda: clock.lap("net"))

    loaded = prefetch(order, lambda index: (index, load(index)), workers, name=name, patience=patience)
    for found in in_turn(devices, loaded, start, finish):
        yield found
        clock.lap("post")
        clock.count()


def in_turn(
    devices: Sequence[Any],
    items: Iterable[Any],
    start: Callable[[Any, Any], Any],
    finish: Callable[[Any, Any], Any],
) -> Iterator[Any]:
    """`finish(device, start(device, item))` for every item, in order, dealt to the devices in turn.

    `start` only queues work. One item per device is under way while an earlier one is finished.
    """
    # First in, first out: results come in the order of the items, whichever device is faster.
    flying: deque = deque()
    for turn, item in enumerate(items):
        device = devices[turn % len(devices)]
        flying.append((device, start(device, item)))
        if len(flying) > len(devices):
            yield finish(*flying.popleft())
    while flying:
        yield finish(*flying.popleft())


class StepClock:
    """Seconds per image spent waiting for data, for the network and in post-processing; a line now and then."""

    def __init__(self, total: int, frequent: int, log: Callable[[str], None]) -> None:
        self.total, self.frequent, self.log = total, max(1, frequent), log
        self.seconds: Dict[str, float] = {"data": 0.0, "net": 0.0, "post": 0.0}
        self.done = 0
        self.last = time.time()

    def lap(self, part: str) -> None:
        """Book the time since the last lap to `part`."""
        now = time.time()
        self.seconds[part] += now - self.last
        self.last = now

    def count(self) -> None:
        """One image is finished."""
        self.done += 1
        if self.done % self.frequent == 0 or self.done == self.total:
            parts = " ".join(f"{name} {spent / self.done:.4f}s" for name, spent in self.seconds.items())
            self.log(f"testing {self.done}/{self.total} {parts}")
