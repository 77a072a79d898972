"""Training batches: images, or crops of them, with what the losses compare with."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from fullconv.instancefcn.preprocess import InputSpec, Size, check_sizes, largest_input, padded, prepare, resized_size
from fullconv.instancefcn.targets import NOTHING, WindowRule, assign, object_shares, sample, window_targets
from fullconv.lib.core.loader import Batch, Sample, SampleSource
from fullconv.lib.core.sampler import BatchPlan
from fullconv.lib.dataset.entry_image import read_entry_image
from fullconv.lib.mask.instance_map import mask_boxes
from fullconv.lib.structures.entry import Entry

POSITIVES, ALL = MASK_WINDOWS = ("positives", "all")
"""Whose masks are learned: windows around an object, or all that are drawn, those around none having an empty one."""


class TargetSpec(NamedTuple):
    """rule: which windows are drawn. window: cells of a mask's side. stride: pixels of a cell. share: of a cell's
    pixels that must be the object's. masks: one of MASK_WINDOWS."""

    rule: WindowRule
    window: int = 21
    stride: int = 8
    share: float = 0.5
    masks: str = POSITIVES

    @property
    def most(self) -> int:
        """Most windows of an image that have a mask."""
        return self.rule.count if self.masks == ALL else int(self.rule.count * self.rule.positive_share)


class Scene(NamedTuple):
    """A training image at its drawn size: input (3, H, W), the size of the image in it, and its objects' masks
    (n, h, w) bool and boxes (n, 4) with open ends, both in pixels of the input."""

    data: np.ndarray
    size: Size
    masks: np.ndarray
    boxes: np.ndarray


class Drawn(NamedTuple):
    """Windows with a label: rows and columns of their centres (P, 2), labels (P,) 1 or 0, objects (P,)."""

    centres: np.ndarray
    labels: np.ndarray
    objects: np.ndarray


def scene(entry: Entry, spec: InputSpec, rng: np.random.RandomState) -> Scene:
    """Image and objects at a size, and perhaps mirrored, by lot. Objects without a pixel are left out."""
    size = resized_size(entry.size, spec.scales[rng.randint(len(spec.scales))], spec)
    # Drawn in any case: with and without mirroring, all that follows is the same.
    flipped = bool(rng.randint(2)) and spec.flip
    masks = entry.read_masks()
    masks = masks[masks.any(axis=(1, 2))]
    # From the masks, not the entry: a box that misses its mask would teach windows with nothing in them.
    boxes = mask_boxes(masks)
    if flipped:
        masks = masks[:, :, ::-1]
        boxes[:, 0::2] = entry.width - 1 - boxes[:, 2::-2]
    factors = np.array([size[1] / entry.width, size[0] / entry.height] * 2)
    ends = (boxes + np.array([0, 0, 1, 1])) * factors
    return Scene(prepare(read_entry_image(entry), spec, size, flipped), size, masks, ends)


def map_size(shown: Scene, stride: int) -> Size:
    """(height, width) of the map of cells of `stride` pixels that covers the image."""
    height, width = padded(shown.size, stride)
    return height // stride, width // stride


def draw_windows(shown: Scene, spec: TargetSpec, rng: np.random.RandomState) -> Tuple[np.ndarray, Drawn]:
    """The label of every place of the map (h, w), NOTHING where none was drawn, and those that were drawn in order."""
    shape = map_size(shown, spec.stride)
    labels, objects = assign(shown.boxes, np.zeros(len(shown.boxes), bool), shape, spec.rule, spec.stride)
    labels = sample(labels, spec.rule, rng)
    centres = np.argwhere(labels != NOTHING)
    rows, columns = centres.T
    return labels, Drawn(centres, labels[rows, columns], objects[rows, columns])


class _Source(SampleSource):
    """What both sources share. entries: with objects or without. Raises ImageError: an image too long and thin."""

    images = 1
    """Rows of `data` that one image of a batch makes."""

    def __init__(self, entries: Sequence[Entry], spec: InputSpec, targets: TargetSpec, seed: int = 0) -> None:
        super().__init__(seed)
        check_sizes(entries, spec)
        self.entries, self.spec, self.target_spec = entries, spec, targets

    def names(self, plan: BatchPlan) -> List[str]:
        """Image files of a batch."""
        return [self.entries[index].image for index in plan.indices]

    def make(self, plan: BatchPlan) -> Batch:
        """The samples of a plan, stacked; windows get the row of their image or crop in `data`."""
        batch = super().make(plan)
        if "windows" in batch:
            rows = batch["windows"][..., 0]
            rows += (rows >= 0) * np.arange(len(rows), dtype=np.float32)[:, None] * self.images
        if self.images > 1:
            batch["data"] = batch["data"].reshape(-1, *batch["data"].shape[2:])
        return batch

    def _masks(self, shown: Scene, drawn: Drawn) -> np.ndarray:
        """(P, m, m) of drawn windows: 1 object, 0 background, NOTHING outside of the map."""
        spec = self.target_spec
        shape = map_size(shown, spec.stride)
        wanted = np.unique(drawn.objects[drawn.labels == 1])
        shares = object_shares(shown.masks, shown.size, shape, spec.stride, wanted)
        # A window around no object is compared with an empty mask: an object more, of which nothing is seen.
        shares = np.concatenate([shares, np.zeros((1, *shape), np.float32)])
        objects = np.where(drawn.labels == 1, drawn.objects, len(shares) - 1)
        return window_targets(shares, drawn.centres, objects, spec.window, spec.share)

    def _learned(self, drawn: Drawn) -> np.ndarray:
        """Indices of the windows that have a mask."""
        return np.flatnonzero((drawn.labels == 1) | (self.target_spec.masks == ALL))


class ImageSource(_Source):
    """Whole images, of which windows are drawn. Inputs as `instancefcn.symbols.instancefcn` says."""

    fills = {"labels": NOTHING, "masks": NOTHING}

    def sample(self, index: int, seed: int) -> Sample:
        """One image; `seed` decides size, mirroring and windows."""
        rng, spec = np.random.RandomState(seed), self.target_spec
        shown = scene(self.entries[index], self.spec, rng)
        labels, drawn = draw_windows(shown, spec, rng)
        learned = self._learned(drawn)
        windows = np.full((spec.most, 3), NOTHING, np.float32)
        masks = np.full((spec.most, spec.window, spec.window), NOTHING, np.float32)
        chosen = Drawn(*(values[learned] for values in drawn))
        windows[: len(learned), 0], windows[: len(learned), 1:] = 0, chosen.centres
        masks[: len(learned)] = self._masks(shown, chosen)
        # Where the input is padded further than the cells reach, there are no windows.
        everywhere = np.full((1, *(side // spec.stride for side in shown.data.shape[1:])), NOTHING, np.float32)
        everywhere[0, : labels.shape[0], : labels.shape[1]] = labels
        return {"data": shown.data, "labels": everywhere, "windows": windows, "masks": masks}

    def largest_shapes(self, images: int) -> Dict[str, Tuple[int, ...]]:
        """Input shapes the training executors are bound at first: the largest image."""
        height, width = largest_input(self.entries, self.spec)
        spec = self.target_spec
        return {
            "data": (images, 3, height, width),
            "labels": (images, 1, height // spec.stride, width // spec.stride),
            "windows": (images, spec.most, 3),
            "masks": (images, spec.most, spec.window, spec.window),
        }


class CropSource(_Source):
    """Crops of `side` pixels around drawn windows, `rule.count` of each image, as the paper's Table 2 compares.

    deepmask: side of the baseline's masks, which show the whole crop; 0 for InstanceFCN, which gets the window in the
    middle of it. The crop's middle lies between two cells: the window is at the later one.
    """

    def __init__(
        self, entries: Sequence[Entry], spec: InputSpec, targets: TargetSpec, side: int, deepmask: int, seed: int = 0
    ) -> None:
        super().__init__(entries, spec, targets, seed)
        self.side, self.deepmask, self.images = side, deepmask, targets.rule.count

    def sample(self, index: int, seed: int) -> Sample:
        """One image's crops; `seed` decides size, mirroring and windows."""
        rng, count = np.random.RandomState(seed), self.images
        shown = scene(self.entries[index], self.spec, rng)
        _, drawn = draw_windows(shown, self.target_spec, rng)
        learned, middle = self._learned(drawn), self._middle
        data = np.zeros((count, 3, self.side, self.side), np.float32)
        for crop, centre in zip(data, drawn.centres):
            _cut(shown.data, centre - middle, self.target_spec.stride, crop)
        labels = np.full((count, *self._map), NOTHING, np.float32)
        place = 0 if self.deepmask else middle
        labels[: len(drawn.labels), place, place] = drawn.labels
        found = self._crop_masks(shown, drawn) if self.deepmask else self._masks(shown, drawn)
        masks = np.full((count, *found.shape[1:]), NOTHING, np.float32)
        masks[learned] = found[learned]
        made = {"data": data, "labels": labels, "masks": masks}
        if not self.deepmask:
            windows = np.full((count, 3), NOTHING, np.float32)
            windows[learned] = np.stack([learned, *np.full((2, len(learned)), middle)], axis=1)
            made["windows"] = windows
        return made

    @property
    def _middle(self) -> int:
        return self.side // self.target_spec.stride // 2

    @property
    def _map(self) -> Size:
        side = 1 if self.deepmask else self.side // self.target_spec.stride
        return side, side

    def _crop_masks(self, shown: Scene, drawn: Drawn) -> np.ndarray:
        """(P, M, M) of the baseline: the object in the whole crop; there is nothing outside of the image."""
        step, stride = self.side // self.deepmask, self.target_spec.stride
        masks = np.zeros((len(drawn.labels), self.deepmask, self.deepmask), np.float32)
        shape = map_size(shown, step)
        shares = object_shares(shown.masks, shown.size, shape, step, np.unique(drawn.objects[drawn.labels == 1]))
        for mask, centre, label, number in zip(masks, drawn.centres, drawn.labels, drawn.objects):
            if label == 1:
                _cut(shares[number][None], (centre - self._middle) * stride // step, 1, mask[None])
        return (masks >= self.target_spec.share).astype(np.float32)

    def largest_shapes(self, images: int) -> Dict[str, Tuple[int, ...]]:
        """Input shapes, which are those of every batch."""
        count, side = self.images, self.deepmask or self.target_spec.window
        shapes: Dict[str, Tuple[int, ...]] = {
            "data": (images * count, 3, self.side, self.side),
            "labels": (images, count, *self._map),
            "masks": (images, count, side, side),
        }
        return shapes if self.deepmask else {**shapes, "windows": (images, count, 3)}


def _cut(source: np.ndarray, corner: np.ndarray, step: int, out: np.ndarray) -> None:
    """The part of maps (C, H, W) from `corner` (row, column) times `step` on into `out` (C, h, w), as far as it is."""
    (top, left), (height, width) = (int(value) * step for value in corner), out.shape[1:]
    rows = slice(max(top, 0), max(min(top + height, source.shape[1]), 0))
    columns = slice(max(left, 0), max(min(left + width, source.shape[2]), 0))
    part = source[:, rows, columns]
    out[:, rows.start - top : rows.start - top + part.shape[1], columns.start - left :][:, :, : part.shape[2]] = part
