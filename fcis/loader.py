"""Training batches of FCIS: image, ground truth and anchor targets."""

from __future__ import annotations

from functools import lru_cache
from typing import Callable, Dict, Iterable, List, Sequence, Tuple

import numpy as np

from fullconv.fcis.preprocess import InputSpec, check_sizes, load_input
from fullconv.fcis.targets import FILLS, anchor_targets, ground_truth, padded_count
from fullconv.lib.core.loader import Sample, SampleSource
from fullconv.lib.core.sampler import BatchPlan, aspect_grouped_order, shuffled_order
from fullconv.lib.rpn.assign_anchor import AnchorConfig
from fullconv.lib.structures.entry import Entry

FeatureShape = Callable[[int, int], Tuple[int, int]]
"""(h, w) of the RPN's map for an input of (height, width)."""


class TrainSource(SampleSource):
    """Batches for the training symbol. entries: with at least one object each. seed: of scales, anchors and rois.

    Raises ImageError: an image too long and thin.
    """

    fills = FILLS

    def __init__(
        self,
        entries: Sequence[Entry],
        spec: InputSpec,
        anchors: AnchorConfig,
        feature_shape: FeatureShape,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        check_sizes(entries, spec.scales)
        self.entries, self.spec, self.anchors = entries, spec, anchors
        # Asking the symbol takes milliseconds, and the same few sizes come all the time.
        self.feature_shape = lru_cache(maxsize=None)(feature_shape)

    def names(self, plan: BatchPlan) -> List[str]:
        """Image files of a batch."""
        return [self.entries[index].image for index in plan.indices]

    def sample(self, index: int, seed: int) -> Sample:
        """One image and its objects; `seed` decides scale, anchors and the operators' draws."""
        entry = self.entries[index]
        data, im_info = load_input(entry, self.spec, np.random.RandomState(seed))
        gt_boxes, gt_masks = ground_truth(entry, im_info)
        # The operators take all inputs as float32, in which a seed below 2^24 is exact.
        seeds = np.array([seed], dtype=np.float32)
        return {"data": data, "im_info": im_info, "gt_boxes": gt_boxes, "gt_masks": gt_masks, "seed": seeds}

    def targets(self, size: Tuple[int, int], sample: Sample) -> Sample:
        """RPN targets for an input padded to `size`."""
        # Begun anew, so that the anchors drawn do not depend on whether a scale was drawn before.
        rng = np.random.RandomState(int(sample["seed"][0]))
        return anchor_targets(self.feature_shape(*size), sample["gt_boxes"], sample["im_info"], self.anchors, rng)

    def largest_shapes(self, images: int) -> Dict[str, Tuple[int, ...]]:
        """Input shapes the training executors are bound at first: the largest image with the most objects."""
        height, width = self.spec.largest
        h, w = self.feature_shape(height, width)
        anchors = len(self.anchors.scales) * len(self.anchors.ratios)
        objects = max(padded_count(len(entry.boxes)) for entry in self.entries)
        return {
            "data": (images, 3, height, width),
            "im_info": (images, 3),
            "gt_boxes": (images, objects, 5),
            "gt_masks": (images, objects, height, width),
            "seed": (images, 1),
            "proposal_label": (images, anchors * h * w),
            "proposal_bbox_target": (images, 4 * anchors, h, w),
            "proposal_bbox_weight": (images, 4 * anchors, h, w),
        }


def order_of(
    entries: Sequence[Entry], shuffle: bool, aspect_grouping: bool, group: int
) -> Callable[[np.random.RandomState], Iterable[int]]:
    """order(generator) of an epoch (original section 5.3). group: images of one update, which have one orientation."""
    if not shuffle:
        return lambda rng: range(len(entries))
    if not aspect_grouping:
        return lambda rng: shuffled_order(len(entries), rng)
    widths, heights = [entry.width for entry in entries], [entry.height for entry in entries]
    return lambda rng: aspect_grouped_order(widths, heights, group, rng)
