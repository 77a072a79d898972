"""Batches of whole images with their labels, prepared ahead by threads."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import Dict, Iterator, List, Mapping, Sequence, Tuple

import mxnet as mx
import numpy as np

from fullconv.fcn.crops import CropLoader, Region
from fullconv.fcn.preprocess import input_tensor
from fullconv.fcn.sampling import BALANCED, balanced_order, indices
from fullconv.fcn.symbols import FCN
from fullconv.lib.core.loader import collate, prefetch
from fullconv.lib.dataset.segmentation.base import SegmentationSet
from fullconv.lib.dataset.segmentation.label_files import VOID

Batch = Dict[str, np.ndarray]


def feeds(dataset: SegmentationSet, net: FCN) -> Tuple[Dict[str, str], Dict[str, str]]:
    """(inputs, labels) of a `SegmentationLoader` that serve a network.

    Raises ValueError: the set lacks a form of the image or a task the network needs, or has another class count.
    """
    inputs = {i.name: "data" if i.kind == "color" and "data" in dataset.means else i.kind for i in net.network.inputs}
    missing = [form for form in inputs.values() if form not in dataset.means]
    missing += [head.label for head in net.heads if head.label not in dataset.tasks]
    if missing:
        raise ValueError(
            f"{dataset.name} has no {', '.join(missing)} for this network: it has images {', '.join(dataset.inputs)} "
            f"and labels {', '.join(dataset.tasks)}; choose a network for it"
        )
    for head in net.heads:
        if head.classes != len(dataset.tasks[head.label]):
            raise ValueError(
                f"the network scores {head.classes} classes of {head.label}, but {dataset.name} has "
                f"{len(dataset.tasks[head.label])}: build the network for the data's count"
            )
    return inputs, {head.label: head.label for head in net.heads}


class SegmentationLoader:
    """Batches for training and test networks.

    dataset: where images come from. inputs: network input -> form of the image, as {"data": "color"}; default every
    form under its own name. labels: network input -> task, as {"label": "label"}; default every task. order: one of
    `fcn.sampling.ORDERS`, or BALANCED, which needs the `regions` of the first label (`fcn.crops.Regions`). batch:
    images per batch; where their sizes differ they are padded at the right and bottom with mean pixels and void labels.
    flip: mirror every other image at random, which the original does not.

    A batch holds (N, C, H, W) float32 per input and (N, 1, H, W) uint8 per label, 255 = void.

    Raises ValueError: unknown order, no images, a batch of less than one, nothing to balance by.
    """

    def __init__(
        self,
        dataset: SegmentationSet,
        inputs: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        order: str = "python2",
        seed: int = 1337,
        batch: int = 1,
        flip: bool = False,
        workers: int = 2,
        regions: Sequence[Sequence[Region]] = (),
    ) -> None:
        self.dataset, self.order, self.seed = dataset, order, seed
        self.inputs = dict(inputs) if inputs is not None else {name: name for name in dataset.inputs}
        self.labels = dict(labels) if labels is not None else {task: task for task in dataset.tasks}
        self.batch, self.flip, self.workers = batch, flip, workers
        if batch < 1:
            raise ValueError(f"a batch holds at least one image, not {batch}")
        if order == BALANCED:
            if not regions:
                raise ValueError(f"order {BALANCED!r} of {dataset.name} needs the regions of its labels")
            self._images = [[region.image for region in of_class] for of_class in regions]
        else:
            indices(order, len(dataset), seed, 0, 1)

    def indices(self, start: int, count: int) -> List[List[int]]:
        """Images of `count` batches from batch number `start`, 0 being the first of the run."""
        begin, number = start * self.batch, count * self.batch
        if self.order == BALANCED:
            flat = list(itertools.islice(balanced_order(self._images, self.seed), begin, begin + number))
        else:
            flat = indices(self.order, len(self.dataset), self.seed, begin, number)
        return [flat[i * self.batch : (i + 1) * self.batch] for i in range(count)]

    def batches(self, start: int, count: int) -> Iterator[Batch]:
        """Batches `start` to `start + count - 1` of the run."""
        places = list(enumerate(self.indices(start, count), start))
        return prefetch(places, self._make, self.workers, name=lambda place: ", ".join(self.items(place[0])))

    def items(self, number: int) -> List[str]:
        """Image files of one batch, for error messages."""
        first = next(iter(self.inputs.values()))
        return [self.dataset.image_file(index, first) for index in self.indices(number, 1)[0]]

    def sample(self, index: int, mirrored: bool = False) -> Batch:
        """One image: (C, h, w) float32 per input, (1, h, w) uint8 per label.

        Raises DatasetError or ImageError: what cannot be read, and inputs of one image that differ in size.
        """
        data = self.dataset
        arrays = {
            name: input_tensor(form, data.read_input(index, form), data.means[form])[0]
            for name, form in self.inputs.items()
        }
        arrays.update({name: data.read_label(index, task)[None] for name, task in self.labels.items()})
        sizes = {name: array.shape[-2:] for name, array in arrays.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"{data.image_ids[index]}: sizes (height, width) differ: {sizes}: store one size")
        return {name: np.ascontiguousarray(a[..., ::-1]) for name, a in arrays.items()} if mirrored else arrays

    def largest_shapes(self) -> Dict[str, Tuple[int, ...]]:
        """Shapes of a batch as large as the highest and the widest image, to bind the first executor with."""
        height, width = np.max(self.sizes, axis=0).tolist()
        channels = {name: 1 if form == "depth" else 3 for name, form in self.inputs.items()}
        shapes = {name: (self.batch, count, height, width) for name, count in channels.items()}
        shapes.update(dict.fromkeys(self.labels, (self.batch, 1, height, width)))
        return shapes

    @cached_property
    def sizes(self) -> List[Tuple[int, int]]:
        """(height, width) of every image, from its header."""
        return [self.dataset.size(index) for index in range(len(self.dataset))]

    def _make(self, item: Tuple[int, List[int]]) -> Batch:
        number, images = item
        mirrored = np.random.RandomState([self.seed, number]).rand(len(images)) < (0.5 if self.flip else 0)
        samples = [self.sample(index, bool(m)) for index, m in zip(images, mirrored)]
        return collate(samples, dict.fromkeys(self.labels, VOID))


class Snapshots:
    """An endless order of batches in pieces of `count`, which the training loop calls epochs.

    Dropout is seeded anew at each piece, so that a resumed run draws what the uninterrupted one does.
    """

    def __init__(self, loader: SegmentationLoader | CropLoader, count: int) -> None:
        self.loader, self.count = loader, count

    def __len__(self) -> int:
        return self.count

    def epoch(self, number: int) -> Iterator[Batch]:
        """Batches of piece `number`, from 0."""
        mx.random.seed(int(np.random.SeedSequence((self.loader.seed, number)).generate_state(1)[0] >> 1))
        return self.loader.batches(number * self.count, self.count)

    def items(self, number: int, place: int) -> List[str]:
        """Image files of one batch of a piece."""
        return self.loader.items(number * self.count + place)
