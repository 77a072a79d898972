"""Cut-out regions to classify: many objects in few pixels, for trunks that start from nothing.

What a trunk needs from ImageNet is what things look like, and that takes tens of thousands of them. A photograph shows
a handful, most of its pixels being something else. Here every connected region of a class is a small image with one
label. Not part of the published trainings, which take the trunk from a classifier of ImageNet.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Dict, List, Mapping, NamedTuple, Sequence, Tuple

import cv2
import numpy as np
from scipy import ndimage

from fullconv.fcn.preprocess import input_tensor
from fullconv.fcn.sampling import draw_evenly
from fullconv.fcn.symbols import CLASSIFIER
from fullconv.lib.core.loader import Batch
from fullconv.lib.core.sampler import BatchPlan
from fullconv.lib.dataset.background import is_background
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.segmentation.base import SegmentationSet
from fullconv.lib.dataset.segmentation.label_files import VOID

MIN_PIXELS = 200
"""Regions with less are not cut out."""

SHARE = (0.6, 1.0)
"""Longer side of the region in that of its crop, least and most."""

SHIFT = 0.05
"""How far the middle of a region may be off the middle of its crop, in sides of the crop."""

CACHE_BYTES = 2**29
"""About how much memory the images that were read last may take."""


class Region(NamedTuple):
    """A connected part of one class: number of the image, and pixels top <= y < bottom, left <= x < right around it."""

    image: int
    label: int
    top: int
    bottom: int
    left: int
    right: int


class CropSource:
    """Batches of crops for `fcn.symbols.Classifier` (a `Source` of `lib.core.loader`); equal places give equal batches.

    regions: of `find_regions`. inputs, labels: as `fcn.loader.ImageSource` has them, one of each. batch: crops in one.
    size: their side in pixels. Every crop draws a class, then one of its regions, which it shows in one of the eight
    symmetries of the square, with what lies around.

    A batch holds (batch, 3, size, size) float32 and labels (batch, 1, 1, 1) uint8.
    """

    def __init__(
        self,
        dataset: SegmentationSet,
        regions: Sequence[Sequence[Region]],
        inputs: Mapping[str, str],
        labels: Mapping[str, str],
        seed: int = 1337,
        batch: int = 32,
        size: int = 64,
    ) -> None:
        self.dataset, self.regions, self.seed, self.batch, self.size = dataset, regions, seed, batch, size
        # A classifier has one input and one label; more would not unpack.
        ((self.name, self.form),), (self.label,) = inputs.items(), labels
        largest = max(map(dataset.size, {region.image for of_class in regions for region in of_class}))
        read = partial(dataset.read_input, name=self.form)
        # Images, not crops, are kept: many regions lie in one image, and each is drawn again in another view.
        self._read = lru_cache(max(1, CACHE_BYTES // (3 * int(np.prod(largest)))))(read)

    def names(self, plan: BatchPlan) -> List[str]:
        """Image files of one batch, for messages."""
        # Each file once, in the order of the crops.
        images = dict.fromkeys(region.image for region, _ in self._crops(plan))
        return [self.dataset.image_file(image, self.form) for image in images]

    def largest_shapes(self) -> Dict[str, Tuple[int, ...]]:
        """Shapes of every batch."""
        return {self.name: (self.batch, 3, self.size, self.size), self.label: (self.batch, 1, 1, 1)}

    def make(self, plan: BatchPlan) -> Batch:
        """The crops of a plan."""
        crops = self._crops(plan)
        mean = self.dataset.means[self.form]
        images = [input_tensor(self.form, self._cut(region, view), mean)[0] for region, view in crops]
        labels = np.array([region.label for region, _ in crops], np.uint8)
        return {self.name: np.stack(images), self.label: labels.reshape(-1, 1, 1, 1)}

    def _crops(self, plan: BatchPlan) -> List[Tuple[Region, np.ndarray]]:
        """Region and view of every crop; they are drawn, so only the number of the batch counts, not its indices."""
        # By the batch's place in the run, so that threads and resuming change nothing.
        rng = np.random.default_rng([self.seed, plan.places[0] // self.batch])
        crops = []
        for _ in range(self.batch):
            region = draw_evenly(self.regions, rng.integers)
            crops.append((region, _view(rng, region, self.size)))
        return crops

    def _cut(self, region: Region, view: np.ndarray) -> np.ndarray:
        """(size, size, 3) uint8."""
        size = (self.size, self.size)
        # Beyond the image's edge its mirror image: a black border would be something to learn.
        return cv2.warpAffine(
            self._read(region.image), view, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )


class Regions:
    """The regions of a data set, found when a stage of training first asks for them, and kept for the next stage."""

    def __init__(self, dataset: SegmentationSet) -> None:
        self.dataset = dataset
        self._found: Dict[str, List[List[Region]]] = {}

    def of(self, task: str) -> List[List[Region]]:
        """Those of the labels for `task`, see `find_regions`."""
        if task not in self._found:
            self._found[task] = find_regions(self.dataset, task)
        return self._found[task]


def find_regions(dataset: SegmentationSet, task: str) -> List[List[Region]]:
    """Per class that has any, its connected regions of at least MIN_PIXELS; void and a class "background" have none.

    Reads every label of the set.

    Raises DatasetError: a label cannot be read, or no class has any.
    """
    found: Dict[int, List[Region]] = {}
    names = dataset.tasks[task]
    for index in range(len(dataset)):
        labels = dataset.read_label(index, task)
        for label in np.unique(labels).tolist():
            if label != VOID and not is_background(names[label]):
                parts, count = ndimage.label(labels == label)
                # Part 0 is what lies around the regions.
                sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
                for (rows, columns), size in zip(ndimage.find_objects(parts), sizes):
                    if size >= MIN_PIXELS:
                        region = Region(index, label, rows.start, rows.stop, columns.start, columns.stop)
                        found.setdefault(label, []).append(region)
    if not found:
        raise DatasetError(
            f"{dataset.name} has no region of {MIN_PIXELS} pixels of one class: train without {CLASSIFIER}, and with "
            "TRAIN.order shuffle"
        )
    return [found[label] for label in sorted(found)]


def _view(rng: np.random.Generator, region: Region, side: int) -> np.ndarray:
    """(2, 3) float32, for OpenCV: from pixels (x, y) of an image to those of a crop that shows the region."""
    _, _, top, bottom, left, right = region
    # The longer side decides, so that all of the region is seen.
    factor = side / max(bottom - top, right - left) * rng.uniform(*SHARE)
    middle = np.array([left + right, top + bottom]) / 2
    matrix = np.column_stack([np.eye(2) * factor, side / 2 - middle * factor + rng.uniform(-SHIFT, SHIFT, 2) * side])
    for axis in range(2):
        if rng.random() < 0.5:
            matrix[axis] *= -1
            # x becomes side - x: mirrored, and back inside the crop.
            matrix[axis, 2] += side
    # Exchanging x and y makes the other four symmetries of the square.
    return (matrix[::-1] if rng.random() < 0.5 else matrix).astype(np.float32)
