"""What a training says of itself while it runs: lines for logs and scripts, records, and a bar for who looks on."""

from __future__ import annotations

import math
import time
from datetime import timedelta
from typing import Callable, Dict, Optional

from fullconv.lib.core.metric import MetricSet
from fullconv.lib.utils.bar import Bar


class Occasional:
    """Calls `action` when called, but at most once in `every` seconds and for at most `share` of the time."""

    def __init__(self, action: Callable[[], object], every: float = 60.0, share: float = 0.01) -> None:
        self.action, self.every, self.share = action, every, share
        self.due = time.monotonic() + every

    def __call__(self) -> None:
        """Call it if it is time."""
        started = time.monotonic()
        if started < self.due:
            return
        self.action()
        spent = time.monotonic() - started
        self.due = started + max(self.every, spent / self.share)


class Progress:
    """One line per `frequent` updates: place, speed, remaining time and the running averages.

    log(text) files a line; record(dict) appends to the run's JSONL. images: per update. total: updates of the run.
    refresh: called after each record, as `Occasional` allows. silent: no bar, where another process shows one.

    The lines have the original's form (`Epoch[e] Batch [n] <tab> Speed: x samples/sec <tab> Train-NAME=value`), which
    scripts parse. On a terminal a bar has the same numbers wrapped to its width, and the time left of the epoch
    as well as of the run.
    """

    def __init__(
        self,
        log: Callable[[str], None],
        record: Callable[[dict], None],
        frequent: int,
        images: int,
        total: int,
        refresh: Optional[Callable[[], object]] = None,
        silent: bool = False,
    ) -> None:
        self.silent = silent
        self.log, self.record = log, record
        self.frequent, self.images = max(1, frequent), images
        self.remaining = total
        self.refresh = Occasional(refresh or (lambda: None))
        self.bar: Optional[Bar] = None
        self._restart()

    def _restart(self) -> None:
        self.started, self.updates = time.time(), 0

    def begin(self, epoch: int, updates: int) -> None:
        """An epoch of so many updates begins; the time since the last one, checkpoints and tests, is nobody's."""
        self.close()
        self.bar = None if self.silent else Bar(f"epoch {epoch}", updates)
        self._restart()

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
        self.bar = None

    def update(self, epoch: int, batch: int, last: bool, lr: float, metrics: MetricSet, num_update: int) -> None:
        """Count update number `batch` (from 1) of the epoch; at the end of an interval read the metrics and report."""
        self.updates += 1
        self.remaining -= 1
        if self.bar is not None:
            self.bar.advance()
        if batch % self.frequent and not last:
            return
        values = metrics.values()
        elapsed = max(time.time() - self.started, 1e-9)
        speed, each = self.updates * self.images / elapsed, elapsed / self.updates
        self._say(epoch, batch, lr, speed, each, values)
        numbers = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self.record({"epoch": epoch, "batch": batch, "step": num_update, "lr": lr, "samples_per_sec": speed, **numbers})
        self.refresh()
        self._restart()

    def _say(self, epoch: int, batch: int, lr: float, speed: float, each: float, values: Dict[str, float]) -> None:
        eta = timedelta(seconds=round(self.remaining * each))
        averages = ",\t".join(f"Train-{name}={value:.4f}" for name, value in values.items())
        place = f"Epoch[{epoch}] Batch [{batch}]\tSpeed: {speed:.2f} samples/sec\tETA: {eta}\tlr: {lr:g}"
        self.log(f"{place}\t{averages}")
        if self.bar is not None:
            self.bar.tell(f"run {eta}, {speed:.2f} images/s, lr {lr:g}", values)
