"""An endless order of training images, in batches of one orientation (the samplers of FCOS's original)."""

from __future__ import annotations

from functools import lru_cache
from typing import Callable, List, Sequence

import numpy as np

from fullconv.lib.core.sampler import SEED_RANGE, sample_seed
from fullconv.lib.structures.entry import Entry


def orientation(entry: Entry) -> int:
    """0 for an image that is wider than high, 1 for the others."""
    return int(entry.height >= entry.width)


def grouped_batches(order: Sequence[int], groups: Sequence[int], batch: int) -> List[List[int]]:
    """Batches of images of one group, in the order of their first images; a group's last may be short.

    order: indices; groups: of every index. The original's GroupedBatchSampler.
    """
    place = {index: position for position, index in enumerate(order)}
    batches = []
    for group in sorted({groups[index] for index in order}):
        members = [index for index in order if groups[index] == group]
        batches += [members[start : start + batch] for start in range(0, len(members), batch)]
    return sorted(batches, key=lambda indices: place[indices[0]])


def filled(batches: Sequence[Sequence[int]], groups: Sequence[int], batch: int) -> List[int]:
    """The batches as one list, those that are short filled up with images that came first in their group.

    The original lets them be short, where an image counts for more than others.
    """
    members: dict = {}
    for indices in batches:
        members.setdefault(groups[indices[0]], []).extend(indices)
    # np.resize repeats: a group may have fewer images than a batch.
    return [
        int(index)
        for indices in batches
        for index in [*indices, *np.resize(members[groups[indices[0]]], batch - len(indices))]
    ]


def endless_order(
    entries: Sequence[Entry], batch: int, seed: int, aspect_grouping: bool = True
) -> Callable[[int, int], List[int]]:
    """order(start, number): indices of the images at positions `start` to `start + number` of an endless order.

    All images come once, in batches of one orientation, then all again in another order. Pure: nothing depends on what
    was asked for before, so every worker and every resumed run finds the same.
    """
    groups = [orientation(entry) if aspect_grouping else 0 for entry in entries]

    @lru_cache(maxsize=4)
    def one_pass(number: int) -> List[int]:
        # Place SEED_RANGE is none of a sample's: the order draws numbers of its own.
        rng = np.random.RandomState(sample_seed(seed, number, SEED_RANGE))
        order = rng.permutation(len(entries)).tolist()
        return filled(grouped_batches(order, groups, batch), groups, batch)

    def order(start: int, number: int) -> List[int]:
        length, indices = len(one_pass(0)), []
        while number > 0:
            which, offset = divmod(start, length)
            piece = one_pass(which)[offset : offset + number]
            indices += piece
            start, number = start + len(piece), number - len(piece)
        return indices

    return order
