"""From a trained network and an image to boxes, classes and masks (original section 7)."""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple, Sequence, Tuple

import numpy as np

from fullconv.fcis.preprocess import InputSpec, prepare_input
from fullconv.lib.bbox.transform import clip_boxes
from fullconv.lib.engines.network import Network
from fullconv.lib.mask.voting import mask_voting
from fullconv.lib.nms.nms import nms
from fullconv.lib.structures.detections import Detections

Sample = Tuple[np.ndarray, np.ndarray, Tuple[int, int]]
"""Input (3, H, W), im_info (3,) and the image's own (height, width)."""


class ResultSpec(NamedTuple):
    """From rois to detections.

    min_size: least side of a roi in pixels of the input; 0 keeps all. voting_rule: "gpu" or "cpu", the original's two
    forms of mask voting; "" suppresses class by class instead. nms: IoU. merge_thresh: IoU from which a roi votes.
    binary_thresh: least probability of a mask's pixel. max_per_image: kept by voting. thresh: least score without.
    """

    min_size: float = 0
    voting_rule: str = "gpu"
    nms: float = 0.3
    merge_thresh: float = 0.5
    binary_thresh: float = 0.4
    max_per_image: int = 100
    thresh: float = 1e-3


class RoiPredictions(NamedTuple):
    """What the network says about each of n rois, boxes in pixels of the original image."""

    boxes: np.ndarray  # (n, 4) float32
    scores: np.ndarray  # (n, C) float32
    masks: np.ndarray  # (n, M, M) float32, probability of belonging to the object


class Detector:
    """A trained FCIS on one device (a `lib.core.inference.Device`).

    network: from `data` (1, 3, H, W) and `im_info` (1, 3) to the outputs of `fcis.symbols.inference.test_symbol`,
    whatever computes it (`fcis.model`).
    """

    def __init__(self, network: Network, images: InputSpec, results: ResultSpec) -> None:
        self.network, self.images, self.results = network, images, results

    def detect(self, image: np.ndarray) -> Detections:
        """What is in one BGR image (h, w, 3) uint8."""
        data, im_info = prepare_input(image, self.images, self.images.scales[0])
        # Testing has one scale, the first; others are for training.
        sample = data, im_info, (image.shape[0], image.shape[1])
        return self.finish(sample, self.start(sample))

    def start(self, sample: Sample) -> Any:
        """Queue the network."""
        data, im_info, _ = sample
        return self.network.start({"data": data[None], "im_info": im_info[None]})

    def finish(self, sample: Sample, started: Any, on_outputs: Callable[[], None] = lambda: None) -> Detections:
        """Wait for it, and make detections of its rois."""
        _, im_info, size = sample
        outputs = self.network.finish(started)
        on_outputs()
        return detections(roi_predictions(outputs, float(im_info[2]), size, self.results.min_size), size, self.results)


class Proposer:
    """The region proposals alone, on one device (a `lib.core.inference.Device`); network: up to `proposals`."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def start(self, sample: Sample) -> Any:
        """Queue the network."""
        data, im_info, _ = sample
        return self.network.start({"data": data[None], "im_info": im_info[None]})

    def finish(self, sample: Sample, started: Any, on_outputs: Callable[[], None]) -> np.ndarray:
        """Boxes (m, 4) float32 in pixels of the original image, best first, each once."""
        _, im_info, size = sample
        rois = self.network.finish(started)["proposals"][:, 1:]
        on_outputs()
        # Where too few boxes are left some are repeated, to fill the rows: as proposals they count once.
        first = np.sort(np.unique(rois, axis=0, return_index=True)[1])
        return clip_boxes(rois[first] / np.float32(im_info[2]), size)


def roi_predictions(
    outputs: Dict[str, np.ndarray], scale: float, size: Tuple[int, int], min_size: float = 0
) -> RoiPredictions:
    """The test symbol's outputs as boxes of the original image of size (h, w).

    min_size: rois with a shorter side are dropped, in pixels of the network's input. The box regression of the last
    round is not applied; the boxes are the rois (original's behaviour).
    """
    rois = outputs["rois"][:, 1:]
    # Measured before the scale is undone: the limit is in pixels of the input, as that of the proposals.
    sides = rois[:, 2:] - rois[:, :2] + 1
    keep = (sides >= min_size).all(axis=1) if min_size > 0 else np.ones(len(rois), dtype=bool)
    # In float32, as the original: a box on the edge of a pixel would be rounded otherwise in voting.
    boxes = clip_boxes(rois[keep] / np.float32(scale), size)
    # Of the two masks the second is the inside one. The batch has one image, hence [0].
    return RoiPredictions(boxes, outputs["cls_prob_reshape"][0][keep], outputs["seg_pred"][keep, 1])


def detections(found: RoiPredictions, size: Tuple[int, int], spec: ResultSpec) -> Detections:
    """Detections class by class: by mask voting, or by suppression within each class."""
    return _voted(found, size, spec) if spec.voting_rule else _suppressed(found, spec)


def _voted(found: RoiPredictions, size: Tuple[int, int], spec: ResultSpec) -> Detections:
    boxes, masks = mask_voting(
        found.masks[:, None],
        found.boxes,
        found.scores,
        found.scores.shape[1],
        spec.max_per_image,
        size[1],
        size[0],
        spec.nms,
        spec.merge_thresh,
        spec.binary_thresh,
        rule=spec.voting_rule,
    )
    side = found.masks.shape[-1]
    return _by_class(boxes, [m.reshape(-1, side, side) for m in masks])


def _suppressed(found: RoiPredictions, spec: ResultSpec) -> Detections:
    # Empty lists for the background, so that places in the lists are classes.
    boxes, masks = [np.zeros((0, 5), np.float32)], [found.masks[:0]]
    # Class 0 is the background, which is never a result.
    for scores in found.scores.T[1:]:
        index = np.flatnonzero(scores > spec.thresh)
        rows = np.hstack([found.boxes[index], scores[index, None]]).astype(np.float32)
        keep = nms(rows, spec.nms)
        boxes.append(rows[keep])
        masks.append(found.masks[index[keep]])
    return _by_class(boxes, masks)


def _by_class(boxes: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> Detections:
    """Rows (m, 5) x1, y1, x2, y2, score and masks (m, M, M) per class as detections, class after class."""
    rows = np.concatenate(boxes)
    labels = np.repeat(np.arange(len(boxes)), [len(b) for b in boxes])
    return Detections(rows[:, :4], rows[:, 4], labels, np.concatenate(masks))
