"""Pictures put together from cut-out regions: many objects in few pixels, for networks that start from nothing.

What a trunk needs from ImageNet is what things look like, and that takes tens of thousands of them. A photograph shows
a handful, most of its pixels being something else. A mosaic shows one per tile, all reduced to about the same size;
the network and its loss stay as they are. Not part of the published trainings.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Dict, List, Mapping, NamedTuple, Tuple

import cv2
import numpy as np
from scipy import ndimage

from fcn.preprocess import read_pixels, tensors
from lib.dataset.imdb import DatasetError
from lib.dataset.label_files import VOID
from lib.dataset.segmentation import SegmentationSet
from lib.dataset.voc_segmentation import BACKGROUND

MIN_PIXELS = 200
"""Regions with less are not cut out."""

SHARE = (0.5, 0.95)
"""Side of the region in that of its tile, least and most."""

SHIFT = 0.1
"""How far the middle of a region may be off the middle of its tile, in sides of the tile."""

CACHE_BYTES = 2**29
"""About how much memory the images and labels that were read last may take."""


class Region(NamedTuple):
    """A connected part of one class: number of the image, and pixels top <= y < bottom, left <= x < right around it."""

    image: int
    top: int
    bottom: int
    left: int
    right: int


class Mosaics:
    """Mosaics by number: equal numbers give equal pictures.

    inputs, labels: as `fcn.loader.SegmentationLoader` has them; regions are those of the first label. tile: side of a
    tile in pixels. size: (height, width) of a mosaic at most; it holds whole tiles, one at least. Every tile draws a
    class, then one of its regions, which it shows in one of the eight symmetries of the square, with what lies around.

    Raises DatasetError: there is no region to cut out, or a label cannot be read. ValueError: a tile larger than any
    image.
    """

    def __init__(
        self,
        dataset: SegmentationSet,
        inputs: Mapping[str, str],
        labels: Mapping[str, str],
        seed: int,
        tile: int,
        size: Tuple[int, int],
    ) -> None:
        self.dataset, self.seed, self.tile = dataset, seed, tile
        self.inputs, self.labels = dict(inputs), dict(labels)
        if tile > max(size):
            raise ValueError(
                f"TRAIN.mosaic_tile is {tile}, but no image of {dataset.name} is more than {max(size)} pixels long: "
                "take less, 64 for example"
            )
        self.grid = tuple(max(1, length // tile) for length in size)
        self.regions = find_regions(dataset, next(iter(self.labels.values())))
        if not self.regions:
            raise DatasetError(
                f"{dataset.name} has no region of {MIN_PIXELS} pixels of one class for mosaics: set TRAIN.mosaic 0"
            )
        read = partial(read_pixels, dataset, self.inputs, self.labels)
        self._read = lru_cache(max(1, CACHE_BYTES // (4 * int(np.prod(size)))))(read)

    def sample(self, number: int) -> Dict[str, np.ndarray]:
        """(C, h, w) float32 per input, (1, h, w) uint8 per label.

        Raises DatasetError or ImageError: an image or label that cannot be read.
        """
        tiles = [self._cut(region, view) for region, view in self._plan(number)]
        whole = {name: _lay([tile[name] for tile in tiles], self.grid[1]) for name in tiles[0]}
        return tensors(self.dataset, self.inputs, whole)

    def items(self, number: int) -> List[str]:
        """Image files of a mosaic, for error messages."""
        form = next(iter(self.inputs.values()))
        images = dict.fromkeys(region.image for region, _ in self._plan(number))
        return [self.dataset.image_file(image, form) for image in images]

    def _plan(self, number: int) -> List[Tuple[Region, np.ndarray]]:
        """Region and view of every tile, row by row."""
        rng = np.random.default_rng([self.seed, number])
        plan = []
        for _ in range(int(np.prod(self.grid))):
            of_class = self.regions[rng.integers(len(self.regions))]
            region = of_class[rng.integers(len(of_class))]
            plan.append((region, _view(rng, region, self.tile)))
        return plan

    def _cut(self, region: Region, view: np.ndarray) -> Dict[str, np.ndarray]:
        """A tile of every input and label, by name."""
        tiles = {}
        for name, pixels in self._read(region.image).items():
            method = cv2.INTER_NEAREST if name in self.labels else cv2.INTER_LINEAR
            tiles[name] = cv2.warpAffine(
                pixels, view, (self.tile, self.tile), flags=method, borderMode=cv2.BORDER_REFLECT
            )  # fmt: skip
        return tiles


def find_regions(dataset: SegmentationSet, task: str) -> List[List[Region]]:
    """Per class that has any, its connected regions of at least MIN_PIXELS; void and a class "background" have none.

    Raises DatasetError: a label cannot be read.
    """
    found: Dict[int, List[Region]] = {}
    names = dataset.tasks[task]
    for index in range(len(dataset)):
        labels = dataset.read_label(index, task)
        for label in np.unique(labels).tolist():
            if label != VOID and names[label] != BACKGROUND:
                parts, count = ndimage.label(labels == label)
                sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
                for (rows, columns), size in zip(ndimage.find_objects(parts), sizes):
                    if size >= MIN_PIXELS:
                        region = Region(index, rows.start, rows.stop, columns.start, columns.stop)
                        found.setdefault(label, []).append(region)
    return [found[label] for label in sorted(found)]


def _lay(tiles: List[np.ndarray], columns: int) -> np.ndarray:
    """Tiles, row by row, as one picture."""
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)


def _view(rng: np.random.Generator, region: Region, tile: int) -> np.ndarray:
    """(2, 3) float32, for OpenCV: from pixels (x, y) of an image to those of a tile that shows the region."""
    _, top, bottom, left, right = region
    factor = tile / max(bottom - top, right - left) * rng.uniform(*SHARE)
    middle = np.array([left + right, top + bottom]) / 2
    matrix = np.column_stack([np.eye(2) * factor, tile / 2 - middle * factor + rng.uniform(-SHIFT, SHIFT, 2) * tile])
    for axis in range(2):
        if rng.random() < 0.5:
            matrix[axis] *= -1
            matrix[axis, 2] += tile
    return np.float32(matrix[::-1] if rng.random() < 0.5 else matrix)
