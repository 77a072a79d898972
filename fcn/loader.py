"""Batches of whole images with their labels."""

from __future__ import annotations

from functools import cached_property
from typing import Dict, List, Mapping, Tuple

import numpy as np

from fullconv.fcn.preprocess import input_tensor
from fullconv.fcn.targets import label_maps
from fullconv.lib.core.loader import Batch, Sample, collate
from fullconv.lib.core.sampler import BatchPlan
from fullconv.lib.dataset.segmentation.base import SegmentationSet
from fullconv.lib.dataset.segmentation.label_files import VOID


class ImageSource:
    """Images of a set as training and test networks take them (a `Source` of `lib.core.loader`).

    dataset: where images come from. inputs: network input -> form of the image, as {"data": "color"}; default every
    form under its own name. labels: network input -> task, as {"label": "label"}; default every task. batch: images per
    batch; where their sizes differ they are padded at the right and bottom with mean pixels and void labels. flip:
    mirror every other image at random, which the original does not; `seed` decides which.

    A batch holds (N, C, H, W) float32 per input and (N, 1, H, W) uint8 per label, 255 = void.
    """

    def __init__(
        self,
        dataset: SegmentationSet,
        inputs: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        batch: int = 1,
        flip: bool = False,
        seed: int = 0,
    ) -> None:
        self.dataset, self.batch, self.flip, self.seed = dataset, batch, flip, seed
        self.inputs = dict(inputs) if inputs is not None else {name: name for name in dataset.inputs}
        self.labels = dict(labels) if labels is not None else {task: task for task in dataset.tasks}

    def sample(self, index: int, mirrored: bool = False) -> Sample:
        """One image: (C, h, w) float32 per input, (1, h, w) uint8 per label.

        Raises DatasetError or ImageError: what cannot be read, and inputs of one image that differ in size.
        """
        data = self.dataset
        arrays = {
            name: input_tensor(form, data.read_input(index, form), data.means[form])[0]
            for name, form in self.inputs.items()
        }
        arrays.update(label_maps(data, index, self.labels))
        sizes = {name: array.shape[-2:] for name, array in arrays.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"{data.image_ids[index]}: sizes (height, width) differ: {sizes}: store one size")
        return {name: np.ascontiguousarray(a[..., ::-1]) for name, a in arrays.items()} if mirrored else arrays

    def make(self, plan: BatchPlan) -> Batch:
        """The images of a plan, stacked."""
        # One generator for a batch, whose number follows from the places: these count from the beginning of the run.
        draws = np.random.RandomState([self.seed, plan.places[0] // self.batch]).rand(len(plan.indices))
        mirrored = draws < (0.5 if self.flip else 0)
        samples = [self.sample(index, bool(m)) for index, m in zip(plan.indices, mirrored)]
        return collate(samples, dict.fromkeys(self.labels, VOID))

    def names(self, plan: BatchPlan) -> List[str]:
        """Image files of a batch, for messages."""
        first = next(iter(self.inputs.values()))
        return [self.dataset.image_file(index, first) for index in plan.indices]

    def largest_shapes(self) -> Dict[str, Tuple[int, ...]]:
        """Shapes of a batch as large as the highest and the widest image, to bind the first executor with."""
        height, width = np.max(self.sizes, axis=0).tolist()
        # By the form, not by reading an image.
        channels = {name: 1 if form == "depth" else 3 for name, form in self.inputs.items()}
        shapes: Dict[str, Tuple[int, ...]] = {n: (self.batch, count, height, width) for n, count in channels.items()}
        shapes.update(dict.fromkeys(self.labels, (self.batch, 1, height, width)))
        return shapes

    @cached_property
    def sizes(self) -> List[Tuple[int, int]]:
        """(height, width) of every image, from its header."""
        return [self.dataset.size(index) for index in range(len(self.dataset))]
