"""What testing shares between methods: which checkpoint, in which order, what is logged, how many pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterator, List, Sequence, Tuple

from fullconv.lib.core import checkpoint
from fullconv.lib.core.inference import Device, StepClock, infer
from fullconv.lib.engines.network import MXNET, Choice
from fullconv.lib.experiment.command_line import Run
from fullconv.lib.utils.logger import RunLogger

GALLERY_IMAGES = 32
"""Pictures written without --vis; with it, every tested image gets one."""


def epoch_to_test(prefix: str, wanted: int, script: str) -> int:
    """`wanted`, or the newest whole checkpoint when that is 0. script: what makes one, for the message.

    Raises CheckpointError: there is none.
    """
    epoch = wanted or checkpoint.latest(prefix)
    if not epoch:
        raise checkpoint.CheckpointError(
            f"{prefix}-*.params: no checkpoint to test. Train first ({script} with the same --cfg), or put "
            "a checkpoint there"
        )
    return epoch


class TestRun:
    """One network on one image set. folder: of the results. name: of the log file."""

    __test__ = False  # pytest would take it for tests

    def __init__(self, run: Run, folder: Path, name: str) -> None:
        self.args, self.settings, self.contexts, self.folder = run.args, run.settings, run.contexts, folder
        settings, device = run.settings, run.contexts[0].device_type
        self.choice = Choice(settings.engine, settings.precision, gpu=device == "gpu")
        if settings.engine != MXNET:
            # An engine takes the whole processor: a second one beside it would only be in its way.
            self.contexts = run.contexts[:1]
        self.logger = RunLogger(folder, name, False)

    def order(self, sizes: Sequence[Tuple[int, int]]) -> List[int]:
        """Images of one size together, because every new size costs a binding; --shuffle permutes them, slower."""
        if self.args.shuffle:
            return self.settings.generator().permutation(len(sizes)).tolist()
        return sorted(range(len(sizes)), key=sizes.__getitem__)

    def results(
        self,
        devices: Sequence[Device],
        sizes: Sequence[Tuple[int, int]],
        load: Callable[[int], Any],
        name: Callable[[int], str],
    ) -> Iterator[Tuple[int, Any]]:
        """(index, result) of every image, see `lib.core.inference.infer`. sizes: (height, width) of each."""
        clock = StepClock(len(sizes), self.settings.frequent, self.logger.info)
        workers, patience = self.settings.num_workers, self.settings.loader_timeout
        return infer(devices, self.order(sizes), load, clock, workers, name, patience)

    def picture_count(self, images: int) -> int:
        """How many of the images are drawn."""
        return images if self.args.vis else min(GALLERY_IMAGES, images)
