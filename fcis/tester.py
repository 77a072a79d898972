"""From a trained network and an image to boxes, classes and masks (original section 7)."""

from __future__ import annotations

from typing import Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import mxnet as mx
import numpy as np

from fullconv.fcis.data import CLASS_UNITS
from fullconv.fcis.loader import check_sizes, load_input, prepare_input
from fullconv.fcis.symbols.fcis import FCIS
from fullconv.lib.bbox.transform import clip_boxes
from fullconv.lib.core.loader import prefetch
from fullconv.lib.core.matching import expected_shapes, match_params
from fullconv.lib.core.predictor import Predictor
from fullconv.lib.experiment.testing import StepClock, in_turn
from fullconv.lib.mask.voting import mask_voting
from fullconv.lib.nms.nms import nms
from fullconv.lib.structures.detections import Detections
from fullconv.lib.structures.entry import Entry


class RoiPredictions(NamedTuple):
    """What the network says about each of n rois, boxes in pixels of the original image."""

    boxes: np.ndarray  # (n, 4) float32
    scores: np.ndarray  # (n, C) float32
    masks: np.ndarray  # (n, M, M) float32, probability of belonging to the object


class Detector:
    """FCIS with given parameters on one device.

    classes: names, '__background__' first. source: file of the parameters, for messages. Raises
    `lib.core.checkpoint.CheckpointError` when they do not fit the network that `config` describes.
    """

    def __init__(
        self, config, arg_params, aux_params, classes: Sequence[str], ctx: mx.Context, source: str = "checkpoint"
    ) -> None:
        self.config = config
        self.classes = list(classes)
        config.dataset.NUM_CLASSES = len(self.classes)
        short, long = max(config.SCALES, key=lambda scale: scale[0] * scale[1])
        largest = {"data": (1, 3, short, long), "im_info": (1, 3)}
        symbol = FCIS(config).test_symbol()
        params = match_params(
            expected_shapes(symbol, **largest), arg_params, aux_params, units=CLASS_UNITS, source=source
        )
        self.predictor = Predictor(symbol, ctx, largest, *params)

    def detect(self, image: np.ndarray) -> Detections:
        """What is in one BGR image (h,w,3) uint8."""
        data, im_info = prepare_input(image, self.config, *self.config.SCALES[0])
        outputs = self.predictor({"data": data, "im_info": im_info[None]})
        predictions = roi_predictions(outputs, float(im_info[2]), image.shape[:2], self.config)
        return detections(predictions, image.shape[:2], self.config)


def roi_predictions(outputs: Dict[str, np.ndarray], scale: float, size: Tuple[int, int], config) -> RoiPredictions:
    """The test symbol's outputs as boxes of the original image of size (h, w).

    Small rois are dropped as the original drops them: only with TEST.ITER 2, by their size in the network's input.
    The box regression of the last round is not applied; the boxes are the rois (original's behaviour).
    """
    rois = outputs["rois"][:, 1:]
    keep = np.ones(len(rois), dtype=bool)
    if config.TEST.ITER == 2 and config.TEST.MIN_DROP_SIZE > 0:
        sides = rois[:, 2:] - rois[:, :2] + 1
        keep = (sides >= config.TEST.MIN_DROP_SIZE).all(axis=1)
    boxes = clip_boxes(rois[keep] / np.float32(scale), size)
    return RoiPredictions(boxes, outputs["cls_prob_reshape"][0][keep], outputs["seg_pred"][keep, 1])


def detections(predictions: RoiPredictions, size: Tuple[int, int], config) -> Detections:
    """Class by class in ascending order: by mask voting, or by per-class suppression without it."""
    if config.TEST.USE_MASK_MERGE:
        return _voted(predictions, size, config)
    return _suppressed(predictions, config)


def _voted(predictions: RoiPredictions, size: Tuple[int, int], config) -> Detections:
    test = config.TEST
    boxes, masks = mask_voting(
        predictions.masks[:, None],
        predictions.boxes,
        predictions.scores,
        predictions.scores.shape[1],
        test.max_per_image,
        size[1],
        size[0],
        test.NMS,
        test.MASK_MERGE_THRESH,
        config.BINARY_THRESH,
        rule=test.MASK_MERGE_RULE,
    )
    side = predictions.masks.shape[1:]
    return Detections.concatenate(
        [
            _of_class(label, rows, found.reshape((-1,) + side))
            for label, (rows, found) in enumerate(zip(boxes, masks))
            if label
        ]
    )


def _suppressed(predictions: RoiPredictions, config) -> Detections:
    found = []
    for label, scores in enumerate(predictions.scores.T[1:], start=1):
        index = np.flatnonzero(scores > config.TEST.thresh)
        rows = np.hstack([predictions.boxes[index], scores[index, None]]).astype(np.float32)
        keep = nms(rows, config.TEST.NMS)
        found.append(_of_class(label, rows[keep], predictions.masks[index[keep]]))
    return Detections.concatenate(found)


def _of_class(label: int, rows: np.ndarray, masks: np.ndarray) -> Detections:
    """Detections of one class from rows (m,5) of box and score, and masks (m,M,M)."""
    return Detections(rows[:, :4], rows[:, 4], np.full(len(rows), label), masks)


def detect_all(
    detectors: Sequence[Detector], roidb: Sequence[Entry], order: Sequence[int], log: Callable[[str], None]
) -> List[Detections]:
    """Run every image; returns what was found in each, in the order of the roidb.

    Images are read by threads and dealt to the detectors in turn; while one image is post-processed the next is
    already queued. order: indices into roidb in the order of testing.
    """
    config = detectors[0].config
    check_sizes(roidb, config)
    found: Dict[int, Detections] = {}
    clock = StepClock(len(roidb), config.default.frequent, log)
    for index, predictions in _predictions(detectors, roidb, order, clock):
        found[index] = detections(predictions, roidb[index].size, config)
        clock.lap("post")
        clock.count()
    return [found[index] for index in range(len(roidb))]


def _predictions(detectors, roidb, order, clock) -> Iterator[Tuple[int, RoiPredictions]]:
    """(index, RoiPredictions) per image, one image per detector in flight."""
    config = detectors[0].config

    def load(index: int):
        return index, load_input(roidb[index], config, np.random.RandomState(0))

    def start(detector: Detector, item):
        clock.lap("data")
        index, (data, im_info) = item
        return index, im_info, detector.predictor.start({"data": data, "im_info": im_info[None]})

    def finish(detector: Detector, started) -> Tuple[int, RoiPredictions]:
        index, im_info, outputs = started
        arrays = detector.predictor.finish(outputs)
        clock.lap("net")
        return index, roi_predictions(arrays, float(im_info[2]), roidb[index].size, config)

    loaded = prefetch(order, load, config.default.num_workers, name=lambda index: roidb[index].image)
    return in_turn(detectors, loaded, start, finish)
