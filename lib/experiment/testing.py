"""What testing shares between methods: which checkpoint, several devices in turn, where the time goes."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Callable, Dict, Iterable, Iterator, Sequence

from fullconv.lib.core import checkpoint


def epoch_to_test(prefix: str, wanted: int, script: str) -> int:
    """`wanted`, or the newest whole checkpoint when that is 0. script: what makes one, for the message.

    Raises CheckpointError: there is none.
    """
    epoch = wanted or checkpoint.latest(prefix)
    if not epoch:
        raise checkpoint.CheckpointError(
            f"{prefix}-*.params: no checkpoint to test. Train first ({script} with the same --cfg), or set "
            "TEST.test_epoch and put the file there"
        )
    return epoch


def in_turn(
    devices: Sequence[Any],
    items: Iterable[Any],
    start: Callable[[Any, Any], Any],
    finish: Callable[[Any, Any], Any],
) -> Iterator[Any]:
    """`finish(device, start(device, item))` for every item, in order, dealt to the devices in turn.

    `start` only queues work. One item per device is under way while an earlier one is finished.
    """
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
