"""In which order images are trained on, and which of them make a batch.

An order depends on its seed and the epoch only, never on what was drawn before: a resumed run goes on exactly,
and every worker of a distributed run knows the whole order and takes its part of each update.
"""

from __future__ import annotations

from typing import Callable, Iterable, List, NamedTuple, Optional, Protocol, Sequence, Tuple

import numpy as np

SEED_RANGE = 2**24
"""Seeds travel to operators as float32, which is exact up to here."""


def sample_seed(seed: int, epoch: int, place: int) -> int:
    """Seed of one sample's random draws: depends on the run's seed, the epoch and the place in the epoch's order."""
    # SeedSequence mixes its numbers, so that neighbouring places do not get related draws.
    return int(np.random.SeedSequence((seed, epoch, place)).generate_state(1)[0] % SEED_RANGE)


class BatchPlan(NamedTuple):
    """Which images make a batch. places: of each in the epoch's order; indices: of each in the data."""

    epoch: int
    places: Tuple[int, ...]
    indices: Tuple[int, ...]


class Share(NamedTuple):
    """What of each update is this worker's: `batches` of it, beside those of the other `workers` (processes)."""

    batches: int = 1
    rank: int = 0
    workers: int = 1

    def mine(self, batch: int) -> bool:
        """Whether batch number `batch` of all workers' is this one's: updates in turn give each worker its share."""
        return batch // self.batches % self.workers == self.rank


ALONE = Share()


def batches_each(key: str, update: int, images: int, devices: int) -> int:
    """Batches of so many images that each device takes of an update of `update` images.

    key: of the configuration, for the message, beside IMS_PER_DEVICE. Raises ValueError: they do not make it up.
    """
    batches, rest = divmod(update, images * devices)
    if rest or not batches:
        raise ValueError(
            f"{key} is {update}: {devices} devices that take IMS_PER_DEVICE {images} images at a time cannot make it "
            "up; change one of the three"
        )
    return batches


class Sampler(Protocol):
    """The batches of every epoch."""

    share: Share

    def __len__(self) -> int:
        """Batches of this worker per epoch."""
        ...

    def plan(self, epoch: int) -> List[BatchPlan]:
        """This worker's batches of an epoch, from 0."""
        ...


class EpochSampler:
    """Every image once an epoch; those that do not fill an update are left out.

    count: images. batch: images in one. order(generator): indices of an epoch, default the data's own order. group of
    images that make one update of all workers: `group`.

    Raises ValueError: fewer images than one update takes.
    """

    def __init__(
        self,
        count: int,
        batch: int = 1,
        order: Optional[Callable[[np.random.RandomState], Iterable[int]]] = None,
        seed: int = 0,
        share: Share = ALONE,
    ) -> None:
        self.count, self.batch, self.seed, self.share = count, batch, seed, share
        self.order = order or (lambda _: range(count))
        self.group = update_size(batch, share)
        if count < self.group:
            raise ValueError(
                f"{count} training images are fewer than the {self.group} one update takes: use fewer devices, "
                "accumulate fewer batches, or add images"
            )

    def __len__(self) -> int:
        return self.count // self.group * self.share.batches

    def plan(self, epoch: int) -> List[BatchPlan]:
        """This worker's batches of an epoch."""
        # Place SEED_RANGE is none of a sample's: the order draws numbers of its own.
        rng = np.random.RandomState(sample_seed(self.seed, epoch, SEED_RANGE))
        # Left out are the last of this epoch's order: where it is drawn, others every time.
        order = [int(index) for index in self.order(rng)][: self.count // self.group * self.group]
        return _cut(order, self.batch, epoch, 0, self.share)


class EndlessSampler:
    """An endless order in pieces of `length` batches, which the training loop calls epochs: training by iterations.

    order(start, number): `number` indices from position `start` of the order. batch: images in one. length: batches of
    this worker in a piece, whole updates.
    """

    def __init__(
        self, order: Callable[[int, int], Sequence[int]], length: int, batch: int = 1, share: Share = ALONE
    ) -> None:
        if batch < 1:
            raise ValueError(f"a batch holds at least one image, not {batch}")
        self.order, self.length, self.batch, self.share = order, length, batch, share

    def __len__(self) -> int:
        return self.length

    def plan(self, epoch: int) -> List[BatchPlan]:
        """This worker's batches of piece `epoch`; places count from the beginning of the run."""
        # Every worker makes the order of all and takes its part, so that they need not talk to each other.
        piece = self.length * self.share.workers * self.batch
        return _cut(self.order(epoch * piece, piece), self.batch, epoch, epoch * piece, self.share)


def _cut(order: Sequence[int], batch: int, epoch: int, start: int, share: Share) -> List[BatchPlan]:
    """Full batches of an order whose first place is `start`, those that are this worker's."""
    plans = []
    for number in range(len(order) // batch):
        if share.mine(number):
            first = number * batch
            places = tuple(range(start + first, start + first + batch))
            plans.append(BatchPlan(epoch, places, tuple(order[first : first + batch])))
    return plans


def update_size(batch: int, share: Share) -> int:
    """Images that all workers together take for one update."""
    return batch * share.batches * share.workers


def aspect_grouped_order(
    widths: Sequence[int], heights: Sequence[int], batch: int, rng, original_quirk: bool = False
) -> np.ndarray:
    """Random order of the images in which those of one batch have one orientation (wide or tall), where possible.

    Wide (w >= h) and tall images are permuted separately, put one after the other and cut into batches; the batches
    are permuted; what does not fill a batch stays last. Three draws of `rng` (numpy RandomState): wide, tall, batches.
    original_quirk: True repeats the original where the number of images is a multiple of `batch`: there its batches
    stay unpermuted, all wide images first, because of an empty slice.
    """
    wide = np.asarray(widths) >= np.asarray(heights)
    order = np.hstack([rng.permutation(np.where(wide)[0]), rng.permutation(np.where(~wide)[0])])
    extra = len(order) % batch
    full = order[: len(order) - extra]
    # order[:-0], in the original, is the slice of nothing.
    if original_quirk and extra == 0:
        full = order[:0]
    rows = full.reshape(-1, batch)
    return np.hstack([rows[rng.permutation(len(rows))].reshape(-1), order[len(full) :]]).astype(int)


def shuffled_order(count: int, rng) -> np.ndarray:
    """A random order of `count` items (numpy's shuffle of 0..count-1)."""
    order = np.arange(count)
    rng.shuffle(order)
    return order
