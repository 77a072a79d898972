"""From proposals and what the classifier says about them to detections with masks."""

from __future__ import annotations

from typing import Callable, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import mxnet as mx
import numpy as np

from fullconv.instancefcn.classifier.loader import code_boxes, cropped, input_rois
from fullconv.instancefcn.classifier.symbols import MASK_SIDE, ClassifierSpec, test_symbol
from fullconv.instancefcn.classifier.targets import crop_mask
from fullconv.instancefcn.preprocess import InputSpec, Size, prepare, resized_size
from fullconv.lib.core.matching import expected_shapes, match_params
from fullconv.lib.core.predictor import Predictor
from fullconv.lib.evaluation.proposal_files import Segments
from fullconv.lib.mask.voting import mask_voting
from fullconv.lib.nms.nms import nms
from fullconv.lib.structures.detections import Detections

Params = Tuple[Mapping[str, mx.nd.NDArray], Mapping[str, mx.nd.NDArray]]


class ResultSpec(NamedTuple):
    """proposals: rows that the network takes. canonical: side of the box that a proposal should have where it is seen.
    mask_input: share from which a cell of the mask on the features is on. voting: "gpu" or "cpu", MNC's two forms of
    mask voting; "" keeps the proposals' masks. nms: IoU within a class. merge_thresh: IoU from which a proposal votes.
    binary_thresh: share of votes from which a pixel is the object's. mask_size: side of the masks. max_per_image: kept
    by voting. thresh: least score without."""

    proposals: int = 300
    canonical: int = 224
    mask_input: float = 0.4
    nms: float = 0.3
    voting: str = "gpu"
    merge_thresh: float = 0.5
    binary_thresh: float = 0.4
    mask_size: int = 28
    max_per_image: int = 100
    thresh: float = 1e-3


class View(NamedTuple):
    """Input (3, H, W) at one scale, and the proposals that are seen there: rows (1, R, 5), masks (1, R, 14, 14), and
    which they are."""

    data: np.ndarray
    rois: np.ndarray
    masks: np.ndarray
    rows: np.ndarray


class Sample(NamedTuple):
    """The views of an image, its own (height, width), its proposals' boxes (m, 4), masks (m, M, M) in these."""

    views: Tuple[View, ...]
    size: Size
    boxes: np.ndarray
    masks: np.ndarray


def views(image: np.ndarray, found: Segments, images: InputSpec, spec: ResultSpec) -> Sample:
    """A BGR image (h, w, 3) uint8 with its proposals, each at the scale where its box is nearest to the canonical."""
    size = (image.shape[0], image.shape[1])
    boxes = code_boxes(found.codes)
    crops = [cropped(code, box) for code, box in zip(found.codes, boxes)]
    masks = [crop_mask(crop, MASK_SIDE) >= spec.mask_input for crop in crops]
    sizes = [resized_size(size, short, images) for short in images.scales]
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1))
    factors = np.array([resized[1] / size[1] for resized in sizes])
    nearest = np.abs(np.log(np.outer(sides, factors) / spec.canonical)).argmin(axis=1)
    made = []
    for number, resized in enumerate(sizes):
        rows = np.flatnonzero(nearest == number)
        if not len(rows):
            continue
        rois = np.zeros((1, spec.proposals, 5), np.float32)
        cells = np.zeros((1, spec.proposals, MASK_SIDE, MASK_SIDE), np.float32)
        rois[0, : len(rows)] = input_rois(boxes[rows], factors[number])
        cells[0, : len(rows)] = [masks[row] for row in rows]
        made.append(View(prepare(image, images, resized), rois, cells, rows))
    small = np.array([crop_mask(crop, spec.mask_size) for crop in crops], np.float32)
    return Sample(tuple(made), size, boxes, small.reshape(-1, spec.mask_size, spec.mask_size))


class Detector:
    """The classifier with given parameters on one device (a `lib.core.inference.Device`).

    largest: (height, width) of the largest input. source: file of the parameters, for messages. Raises CheckpointError
    when they do not fit.
    """

    def __init__(
        self,
        network: ClassifierSpec,
        results: ResultSpec,
        params: Params,
        ctx: mx.Context,
        largest: Size,
        units: Mapping[str, Tuple[str, int]],
        source: str = "checkpoint",
    ) -> None:
        self.network, self.results = network, results
        rows = 1, results.proposals
        shapes = {"data": (1, 3, *largest), "rois": (*rows, 5), "masks": (*rows, MASK_SIDE, MASK_SIDE)}
        symbol = test_symbol(network)
        matched = match_params(expected_shapes(symbol, **shapes), *params, units=units, source=source)
        self.predictor = Predictor(symbol, ctx, shapes, *matched)

    def start(self, sample: Sample) -> List[List[mx.nd.NDArray]]:
        """Queue the network."""
        return [
            self.predictor.start({"data": view.data[None], "rois": view.rois, "masks": view.masks})
            for view in sample.views
        ]

    def finish(
        self, sample: Sample, started: Sequence[List[mx.nd.NDArray]], on_outputs: Callable[[], None] = lambda: None
    ) -> Detections:
        """Wait for it, and make detections."""
        scores = np.zeros((len(sample.boxes), self.network.classes), np.float32)
        for view, arrays in zip(sample.views, started):
            outputs: Dict[str, np.ndarray] = self.predictor.finish(arrays)
            scores[view.rows] = outputs["seg_cls_prob"][: len(view.rows)]
        on_outputs()
        return detections(sample, scores, self.results)


def detections(sample: Sample, scores: np.ndarray, spec: ResultSpec) -> Detections:
    """Class by class: by mask voting, or the proposals that their class's suppression leaves. scores (m, C).

    Boxes are the proposals': the corrections are learned for the features' sake, and masks do not follow them.
    """
    if not len(scores):
        return Detections.empty(spec.mask_size)
    if not spec.voting:
        return _suppressed(sample, scores, spec)
    boxes, masks = mask_voting(
        sample.masks[:, None],
        sample.boxes,
        scores,
        scores.shape[1],
        spec.max_per_image,
        sample.size[1],
        sample.size[0],
        spec.nms,
        spec.merge_thresh,
        spec.binary_thresh,
        rule=spec.voting,
    )
    rows = np.concatenate(boxes)
    labels = np.repeat(np.arange(len(boxes)), [len(found) for found in boxes])
    return Detections(rows[:, :4], rows[:, 4], labels, np.concatenate(masks)[:, 0])


def _suppressed(sample: Sample, scores: np.ndarray, spec: ResultSpec) -> Detections:
    parts = []
    for label in range(1, scores.shape[1]):
        rows = np.flatnonzero(scores[:, label] > spec.thresh)
        found = np.hstack([sample.boxes[rows], scores[rows, label, None]]).astype(np.float32)
        kept = nms(found, spec.nms)
        masks = sample.masks[rows[kept]]
        parts.append(Detections(found[kept, :4], found[kept, 4], np.full(len(kept), label), masks))
    return Detections.concatenate(parts)
