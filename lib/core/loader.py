"""Batches in the order of a sampler, prepared ahead by threads.

What a batch holds depends only on its plan, never on which thread made it, so runs repeat exactly.
"""

from __future__ import annotations

import hashlib
import os
from copy import copy
from typing import Dict, Iterator, List, Mapping, Protocol, Sequence, Tuple

import numpy as np

from fullconv.lib.core.bad_images import SKIP, Care, LeftOut
from fullconv.lib.core.prefetch import LoaderError, prefetch
from fullconv.lib.core.sampler import BatchPlan, Sampler, sample_seed

Sample = Dict[str, np.ndarray]
Batch = Dict[str, np.ndarray]


class Source(Protocol):
    """What a method adds: the arrays of a batch, by the name of the network's input."""

    def make(self, plan: BatchPlan) -> Batch:
        """The batch that is planned; called by several threads at once."""
        ...

    def names(self, plan: BatchPlan) -> List[str]:
        """Image files of it, for messages."""
        ...


class SampleSource:
    """A source that makes one sample after the other, which are then stacked.

    A method says what a sample is, `sample(index, seed)`, what of it is only known when the size of the batch is,
    `targets`, and the padding value of arrays of different sizes, `fills` (default 0).
    """

    fills: Mapping[str, float] = {}

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def sample(self, index: int, seed: int) -> Sample:
        """Arrays without the batch axis; `seed` decides all that is random about it."""
        raise NotImplementedError

    def targets(self, size: Tuple[int, int], sample: Sample) -> Sample:
        """What a sample gets besides, once the batch's (height, width) of `data` is known."""
        return {}

    def names(self, plan: BatchPlan) -> List[str]:
        """Image files of a batch, for messages."""
        raise NotImplementedError

    def make(self, plan: BatchPlan) -> Batch:
        """The samples of a plan, stacked."""
        # By place, not by image: an image that comes twice in a run is not drawn alike twice.
        seeds = (sample_seed(self.seed, plan.epoch, place) for place in plan.places)
        samples = [self.sample(index, seed) for index, seed in zip(plan.indices, seeds)]
        # Targets are laid out over the batch's map, which the largest images decide.
        height, width = (max(sample["data"].shape[axis] for sample in samples) for axis in (1, 2))
        for sample in samples:
            sample.update(self.targets((height, width), sample))
        return collate(samples, self.fills)


class EpochLoader:
    """The batches of a sampler's epochs. workers: threads; 0 makes them in the caller's."""

    def __init__(self, sampler: Sampler, source: Source, workers: int = 2) -> None:
        self.sampler, self.source, self.workers = sampler, source, workers
        self.care, self.left_out = Care(), LeftOut()

    def __len__(self) -> int:
        """Batches of this worker per epoch."""
        return len(self.sampler)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Batches of one epoch, from 0.

        Raises LoaderError that names the images of what could not be made, or not in time; by `care.policy` such
        images are left out instead, up to a limit.
        """
        plans = self.sampler.plan(number)
        make = self.source.make
        if self.care.policy == SKIP:
            places = {plan.places: place for place, plan in enumerate(plans)}
            make = lambda plan: self._first_whole(plans, places[plan.places])  # noqa: E731
        return prefetch(plans, make, self.workers, name=self._name, patience=self.care.patience)

    def _first_whole(self, plans: Sequence[BatchPlan], place: int) -> Batch:
        """The batch at a place, or the next one that can be made: the number of updates stays what it was planned to
        be, and so do the other workers' shares of them.
        """
        images = len(plans) * len(plans[0].indices)
        for plan in (*plans[place:], *plans[:place]):
            try:
                return self.source.make(plan)
            except (ValueError, OSError) as error:  # of files; anything else is a defect of the program
                self.left_out.add(self.source.names(plan), error, self.care.limit, images)
        raise LoaderError("no image of this epoch can be read")

    def items(self, epoch: int, place: int) -> List[str]:
        """Image files of this worker's batch number `place` in the epoch, for messages."""
        # Planned anew: only a message needs it, and an epoch's plan has an entry for every batch.
        return self.source.names(self.sampler.plan(epoch)[place])

    def fingerprint(self) -> str:
        """sha256 of the names of the first worker's images of the first epoch: the same in all processes that have the
        same data in the same order.
        """
        sampler = copy(self.sampler)
        sampler.share = sampler.share._replace(rank=0)
        names = (os.path.basename(name) for plan in sampler.plan(0) for name in self.source.names(plan))
        return hashlib.sha256("\n".join(names).encode()).hexdigest()

    def _name(self, plan: BatchPlan) -> str:
        return ", ".join(self.source.names(plan))


def pad_stack(arrays: Sequence[np.ndarray], fill: float = 0.0) -> np.ndarray:
    """Stack arrays of one rank along a new first axis, padding each at its end to the largest shape."""
    shape = tuple(max(sizes) for sizes in zip(*(a.shape for a in arrays)))
    out = np.full((len(arrays),) + shape, fill, dtype=arrays[0].dtype)
    for row, array in zip(out, arrays):
        # Padding goes behind, so that coordinates in the image stay what they are.
        row[tuple(slice(0, size) for size in array.shape)] = array
    return out


def collate(samples: Sequence[Dict[str, np.ndarray]], fills: Mapping[str, float]) -> Dict[str, np.ndarray]:
    """One batch from samples with the same keys; `fills` gives the padding value of a key (default 0)."""
    return {key: pad_stack([s[key] for s in samples], fills.get(key, 0.0)) for key in samples[0]}
