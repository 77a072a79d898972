"""The training loop, and nothing else."""

from __future__ import annotations

import time
from functools import partial
from itertools import islice
from typing import Any, Callable, Iterable, Iterator, List, Mapping, Optional, Sequence

import mxnet as mx
import numpy as np

from fullconv.lib.core.loader import Batch, EpochLoader
from fullconv.lib.core.metric import MetricSet
from fullconv.lib.core.progress import Progress
from fullconv.lib.core.schedule import Schedule
from fullconv.lib.core.trainer import Trainer

LISTED = 6
"""Metrics or parameters named in the error at most."""


Evidence = Callable[[Sequence[Batch], List[str], Sequence[str]], str]
"""(batches of the last update, what is not finite, their images) -> where they are kept, a sentence."""


class DivergedError(RuntimeError):
    """A loss is not a finite number any more; the message says where and what was being trained on."""


def grouped(batches: Iterable[Any], size: int) -> Iterator[List[Any]]:
    """Lists of `size` consecutive batches; an incomplete last one is dropped."""
    source = iter(batches)
    while True:
        group = list(islice(source, size))
        if len(group) < size:
            return
        yield group


def check_finite(
    metrics: MetricSet,
    trainer: Trainer,
    place: str,
    images: Callable[[], Sequence[str]],
    evidence: Callable[[List[str], Sequence[str]], str] = lambda bad, images: "",
) -> None:
    """Raise DivergedError when a metric's sum or a parameter is infinite or nan; only then are the others called.

    images: names of those last trained on. evidence(what is not finite, images): keeps what happened and says where.

    Metrics alone do not tell: oneDNN's relu makes 0 of nan, so a network of nothing but nan has finite losses.
    """
    bad = metrics.diverged() or trainer.diverged()
    if bad:
        names = ", ".join(bad[:LISTED]) + (f" and {len(bad) - LISTED} more" if len(bad) > LISTED else "")
        last = images()
        kept = evidence(bad, last)
        raise DivergedError(
            f"training diverged at {place}: {names} not finite. Last images: {', '.join(last) or 'unknown'}. "
            f"{kept + '. ' if kept else ''}The checkpoint of the last finished epoch is intact. Lower the learning "
            "rate or warm up longer, and go on with --resume --changed, or look at these images with "
            "fullconv.lib.tools.check"
        )


def fit(
    trainer: Trainer,
    loader: EpochLoader,
    metrics: MetricSet,
    output_names: Sequence[str],
    schedule: Schedule,
    epochs: range,
    progress: Progress,
    save: Callable[[int], None],
    log: Callable[[str], None],
    seed: int = 0,
    evidence: Optional[Evidence] = None,
) -> None:
    """Train over `epochs`; `save(epoch)` runs after each. evidence: keeps the batches at which training diverged.

    log: for the lines at the end of an epoch. seed: of what the network draws by itself, dropout. Every epoch begins
    with its own, so that a resumed run draws what the uninterrupted one does.
    """
    updates = len(loader) // trainer.batches_per_step
    for epoch in epochs:
        metrics.reset()
        trainer.seed(int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0] >> 1))
        started = time.time()
        progress.begin(epoch, updates)
        try:
            _train_epoch(trainer, loader, metrics, output_names, schedule, epoch, progress, evidence)
        finally:
            progress.close()
        mx.nd.waitall()
        for name, value in metrics.values().items():
            log(f"Epoch[{epoch}] Train-{name}={value:.6f}")
        log(f"Epoch[{epoch}] Time cost={time.time() - started:.1f}")
        save(epoch)


def _train_epoch(
    trainer: Trainer,
    loader: EpochLoader,
    metrics: MetricSet,
    output_names: Sequence[str],
    schedule: Schedule,
    epoch: int,
    progress: Progress,
    evidence: Optional[Evidence],
) -> None:
    size = trainer.batches_per_step
    updates = len(loader) // size
    for done, group in enumerate(grouped(loader.epoch(epoch), size), start=1):
        lr = schedule(trainer.num_update + 1)
        trainer.step(group, lr, lambda inputs, outputs: _measure(metrics, inputs, outputs, output_names))
        progress.update(epoch, done, done == updates, lr, metrics, trainer.num_update)
        if done % progress.frequent == 0 or done == updates:
            batches = range((done - 1) * size, done * size)
            images = partial(_images, trainer, loader, epoch, batches)
            keep = partial(evidence, group) if evidence is not None else (lambda bad, images: "")
            check_finite(metrics, trainer, f"epoch {epoch}, update {done}", images, keep)


def _images(trainer: Trainer, loader: EpochLoader, epoch: int, batches: Iterable[int]) -> List[str]:
    """Those of these batches on all workers, which ask at the same time."""
    mine = [name for number in batches for name in loader.items(epoch, number)]
    return [name for names in trainer.world.texts("\n".join(mine)) for name in names.split("\n")]


def _measure(metrics: MetricSet, inputs: Mapping, outputs: List, names: Sequence[str]) -> None:
    metrics.update({**inputs, **dict(zip(names, outputs))})
