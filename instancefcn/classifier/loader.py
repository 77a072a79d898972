"""The classifier's training batches: an image, some of its proposals, and what they are."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
from pycocotools import mask as coco_mask

from fullconv.instancefcn.classifier.symbols import IGNORE, MASK_SIDE
from fullconv.instancefcn.classifier.targets import Code, SamplingSpec, box_targets, choose, crop_mask, match
from fullconv.instancefcn.preprocess import InputSpec, check_sizes, largest_input, prepare, resized_size
from fullconv.lib.core.loader import Batch, Sample, SampleSource
from fullconv.lib.core.sampler import BatchPlan
from fullconv.lib.dataset.entry_image import read_entry_image
from fullconv.lib.evaluation.proposal_files import Segments
from fullconv.lib.mask.encode import encode_mask
from fullconv.lib.mask.instance_map import mask_boxes
from fullconv.lib.structures.entry import Entry


class Candidates(NamedTuple):
    """Segments of one image: boxes (m, 4), ends inclusive, in pixels of the image, and codes of their masks."""

    boxes: np.ndarray
    codes: List[Code]


def objects(entry: Entry) -> Tuple[Candidates, np.ndarray]:
    """The objects of an image, those without a pixel left out, and their classes. The entry is not mirrored."""
    masks = entry.read_masks()
    whole = masks.any(axis=(1, 2))
    return Candidates(mask_boxes(masks[whole]), [encode_mask(mask) for mask in masks[whole]]), entry.classes[whole]


def code_boxes(codes: Sequence[Code]) -> np.ndarray:
    """Tight boxes (m, 4) of masks, ends inclusive."""
    if not len(codes):
        return np.zeros((0, 4))
    boxes = np.asarray(coco_mask.toBbox(list(codes)), np.float64)
    boxes[:, 2:] += boxes[:, :2] - 1
    return boxes


def cropped(code: Code, box: np.ndarray) -> np.ndarray:
    """The part of a mask inside its box, bool."""
    x1, y1, x2, y2 = (int(value) for value in box)
    return coco_mask.decode(code)[y1 : y2 + 1, x1 : x2 + 1].astype(bool)


def input_rois(boxes: np.ndarray, factor: float) -> np.ndarray:
    """(m, 5) rows of `rois`, image 0: boxes in pixels of the input, which is `factor` times the image."""
    return np.concatenate([np.zeros((len(boxes), 1)), boxes * factor], axis=1).astype(np.float32)


class ClassifierSource(SampleSource):
    """One image and `spec.rois` of its proposals and objects a sample. entries, proposals: of every image, in order;
    the objects join the proposals, as in CFM. Raises ImageError: an image too long and thin."""

    fills = {"labels": IGNORE, "seg_labels": IGNORE}

    def __init__(
        self,
        entries: Sequence[Entry],
        proposals: Sequence[Segments],
        images: InputSpec,
        spec: SamplingSpec,
        classes: int,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        check_sizes(entries, images)
        self.entries, self.proposals, self.images, self.spec, self.classes = entries, proposals, images, spec, classes

    def names(self, plan: BatchPlan) -> List[str]:
        """Image files of a batch."""
        return [self.entries[index].image for index in plan.indices]

    def sample(self, index: int, seed: int) -> Sample:
        """One image; `seed` decides size, mirroring and proposals."""
        rng, entry, spec = np.random.RandomState(seed), self.entries[index], self.spec
        size = resized_size(entry.size, self.images.scales[rng.randint(len(self.images.scales))], self.images)
        flipped = bool(rng.randint(2)) and self.images.flip
        (gt_boxes, gt_codes), gt_classes = objects(entry)
        found = self.proposals[index]
        boxes = np.concatenate([code_boxes(found.codes), gt_boxes])
        codes = [*found.codes, *gt_codes]
        matched = match(boxes, codes, gt_boxes, gt_codes, gt_classes)
        chosen = choose(matched.overlaps, spec, rng)
        masks = [crop_mask(cropped(codes[i], boxes[i]), MASK_SIDE) >= spec.mask_thresh for i in chosen]
        boxes, corrections = boxes[chosen], matched.corrections[chosen].copy()
        if flipped:
            boxes[:, 0::2] = entry.width - 1 - boxes[:, 2::-2]
            corrections[:, 0] *= -1
            masks = [mask[:, ::-1] for mask in masks]
        targets, weights = box_targets(matched.labels[chosen], corrections, self.classes, spec.stds)
        made = {
            "rois": input_rois(boxes, size[1] / entry.width),
            "masks": np.array(masks, np.float32).reshape(-1, MASK_SIDE, MASK_SIDE),
            "labels": matched.labels[chosen].astype(np.float32),
            "seg_labels": matched.seg_labels[chosen].astype(np.float32),
            "box_targets": targets,
            "box_weights": weights,
        }
        filled = {name: _filled(array, spec.rois, self.fills.get(name, 0)) for name, array in made.items()}
        return {"data": prepare(read_entry_image(entry), self.images, size, flipped), **filled}

    def make(self, plan: BatchPlan) -> Batch:
        """The samples of a plan, stacked; proposals get the number of their image."""
        batch = super().make(plan)
        batch["rois"][..., 0] = np.arange(len(batch["rois"]), dtype=np.float32)[:, None]
        return batch

    def largest_shapes(self, images: int) -> Dict[str, Tuple[int, ...]]:
        """Input shapes the training executors are bound at first: the largest image."""
        rows = images, self.spec.rois
        return {
            "data": (images, 3, *largest_input(self.entries, self.images)),
            "rois": (*rows, 5),
            "masks": (*rows, MASK_SIDE, MASK_SIDE),
            "labels": rows,
            "seg_labels": rows,
            "box_targets": (*rows, 4 * self.classes),
            "box_weights": (*rows, 4 * self.classes),
        }


def _filled(array: np.ndarray, rows: int, fill: float) -> np.ndarray:
    out = np.full((rows, *array.shape[1:]), fill, np.float32)
    out[: len(array)] = array
    return out
