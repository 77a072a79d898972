"""In which order images are trained on: an endless sequence of indices, entered at any iteration.

The original draws with replacement, with Python 2's `random`; it has no epochs. An order depends on (count, seed) only,
so a resumed run goes on exactly where it stopped.
"""

from __future__ import annotations

import itertools
import random
from typing import Callable, Dict, Iterator, List, Sequence, TypeVar

import numpy as np

Item = TypeVar("Item")


def python2_order(count: int, seed: int) -> Iterator[int]:
    """The original's draws: Python 2's `random.seed(seed)`, then `random.randint(0, count - 1)` for ever.

    Python 3 keeps the generator and its seeding by integers, but another randint: Python 2 scales one random() to
    the range (for ranges below 2**53).
    """
    generator = random.Random(seed)
    while True:
        yield int(generator.random() * count)


def shuffled_order(count: int, seed: int) -> Iterator[int]:
    """Epochs, each a new permutation of all images."""
    for epoch in itertools.count():
        # A generator for each epoch, so that entering at a later one needs no earlier draws.
        yield from np.random.RandomState([seed, epoch]).permutation(count).tolist()


def sequential_order(count: int, seed: int = 0) -> Iterator[int]:
    """List order, from the start again after the last image (the original's, where `train` is not in the split)."""
    return itertools.cycle(range(count))


def balanced_order(images: Sequence[Sequence[int]], seed: int) -> Iterator[int]:
    """Draws of a class, then of one of its regions, whose image it is: class-aware sampling (Shen et al., ECCV 2016).

    images: per class that has any, the image of each of its regions. So rare classes come as often as others, and
    images with many objects more often than those with few.
    """
    rng = np.random.RandomState(seed)
    while True:
        yield draw_evenly(images, rng.randint)


def draw_evenly(classes: Sequence[Sequence[Item]], below: Callable[[int], int]) -> Item:
    """A class, each as likely, then one of its items. below(n): a random whole number from 0 to n - 1."""
    of_class = classes[below(len(classes))]
    return of_class[below(len(of_class))]


BALANCED = "balanced"
"""Name of the order that needs to know what is in the images."""

ORDERS: Dict[str, Callable[[int, int], Iterator[int]]] = {
    "python2": python2_order,
    "shuffle": shuffled_order,
    "sequential": sequential_order,
}


def order_of(
    name: str, count: int, seed: int, regions: Sequence[Sequence[int]] = ()
) -> Callable[[int, int], List[int]]:
    """order(start, number): indices from position `start` of the named order over `count` images.

    regions: for BALANCED, per class the image of each of its regions. Raises ValueError: unknown order, or no images.
    """
    if name not in (*ORDERS, BALANCED):
        raise ValueError(f"the order of images is {name!r}: known orders are {', '.join((*ORDERS, BALANCED))}")
    if count <= 0:
        raise ValueError("the data set has no images: check its split list")

    def order(start: int, number: int) -> List[int]:
        endless = balanced_order(regions, seed) if name == BALANCED else ORDERS[name](count, seed)
        # From the beginning every time: draws are cheap, and an order that remembers where it was could not be
        # resumed.
        return list(itertools.islice(endless, start, start + number))

    return order
