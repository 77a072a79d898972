"""Training batches of FCOS: images, their boxes, and what the losses are divided by."""

from __future__ import annotations

from functools import lru_cache
from typing import Callable, Dict, List, Sequence, Tuple

import numpy as np

from fullconv.fcos.preprocess import InputSpec, check_sizes, draw, prepare, resized_size
from fullconv.fcos.symbols.spec import LossSpec
from fullconv.fcos.targets import FILLS, Positives, ground_truth, padded_count, positives
from fullconv.lib.core.loader import Batch, Sample, SampleSource
from fullconv.lib.core.sampler import BatchPlan, sample_seed
from fullconv.lib.dataset.entry_image import read_entry_image
from fullconv.lib.structures.entry import Entry

Order = Callable[[int, int], Sequence[int]]
"""order(start, number): indices at those positions of the endless order (`lib.core.endless_order`)."""

KEPT_COUNTS = 4096
"""Counts of images that are kept: those of the updates that threads work on."""


class TrainSource(SampleSource):
    """Batches for the training symbol.

    Losses are divided by numbers of the whole update, which every batch of it gets: so a batch also counts the
    positives of those images of its update that other devices, workers or accumulated batches have. Boxes are enough
    for that, no image is read twice.

    update: images of an update of all workers. seed: of sizes and mirroring. Raises ImageError: an image too thin.
    """

    fills = FILLS

    def __init__(
        self, entries: Sequence[Entry], spec: InputSpec, loss: LossSpec, order: Order, update: int, seed: int = 0
    ) -> None:
        super().__init__(seed)
        check_sizes(entries, spec)
        self.entries, self.spec, self.loss, self.order, self.update = entries, spec, loss, order, update
        self.rows = max(padded_count(len(entry.boxes)) for entry in entries)
        self.positives = lru_cache(KEPT_COUNTS)(self._positives)

    def names(self, plan: BatchPlan) -> List[str]:
        """Image files of a batch."""
        return [self.entries[index].image for index in plan.indices]

    def sample(self, index: int, seed: int) -> Sample:
        """One image and its objects; `seed` decides size and mirroring."""
        entry, drawn = self.entries[index], draw(self.spec, seed)
        size = resized_size(entry.size, drawn.min_size, self.spec.max_size)
        data = prepare(read_entry_image(entry), self.spec, size, drawn.flipped)
        return {"data": data, "gt_boxes": ground_truth(entry, size, drawn)}

    def make(self, plan: BatchPlan) -> Batch:
        """The samples of a plan, stacked, with `normalizers` (2,): positive locations and sum of their centerness."""
        batch = super().make(plan)
        boxes = batch["gt_boxes"]
        # Rows for the most objects an image has: with fewer where there are fewer, every size of images would be bound
        # several times, each with memory of its own.
        batch["gt_boxes"] = np.full((len(boxes), self.rows, 5), FILLS["gt_boxes"], np.float32)
        batch["gt_boxes"][:, : boxes.shape[1]] = boxes
        return {**batch, "normalizers": self.normalizers(plan)}

    def normalizers(self, plan: BatchPlan) -> np.ndarray:
        """Of the update that a batch belongs to, not below 1 and not 0."""
        first = plan.places[0] // self.update * self.update
        indices = self.order(first, self.update)
        seeds = (sample_seed(self.seed, plan.epoch, first + place) for place in range(self.update))
        counts = [self.positives(index, seed) for index, seed in zip(indices, seeds)]
        count, centerness = (sum(numbers) for numbers in zip(*counts))
        # Without positives the sums that are divided are 0 anyway.
        return np.array([max(count, 1.0), centerness or 1.0], np.float32)

    def _positives(self, index: int, seed: int) -> Positives:
        entry, drawn = self.entries[index], draw(self.spec, seed)
        size = resized_size(entry.size, drawn.min_size, self.spec.max_size)
        return positives(ground_truth(entry, size, drawn), size, self.loss)

    def largest_shapes(self, images: int) -> Dict[str, Tuple[int, ...]]:
        """Input shapes the training executors are bound at first: the largest image with the most objects."""
        return {"data": (images, 3, *self.spec.largest), "gt_boxes": (images, self.rows, 5), "normalizers": (2,)}
