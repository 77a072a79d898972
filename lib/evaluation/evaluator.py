"""What scores detections, and which evaluator a data set gets."""

from __future__ import annotations

import os
from typing import Dict, Protocol, Sequence

from fullconv.lib.dataset.detection.coco import COCO
from fullconv.lib.dataset.detection.detection_set import DetectionSet, JoinedDetectionSet
from fullconv.lib.dataset.detection.pascal_voc import PascalVOC
from fullconv.lib.dataset.detection.voc_xml import VOCXml
from fullconv.lib.evaluation.coco import CocoEvaluator
from fullconv.lib.evaluation.sanity import EvaluationError
from fullconv.lib.evaluation.sds_mapr import SdsEvaluator
from fullconv.lib.evaluation.voc_boxes import VocBoxEvaluator
from fullconv.lib.structures.detections import Detections


class Evaluator(Protocol):
    """Scores the detections of one data set."""

    def evaluate(self, detections: Sequence[Detections], folder: str) -> Dict[str, float]:
        """Scores by name of the detections of every image, in its order; result files go to `folder`.

        Raises EvaluationError: detections that cannot belong to the data set.
        """
        ...

    def table(self, scores: Dict[str, float]) -> str:
        """What `evaluate` returned, as lines for people."""
        ...


def evaluator_for(dataset: DetectionSet, masks: bool, binary_thresh: float = 0.4) -> Evaluator:
    """COCO's protocol for a COCO file; for a VOC folder and what is read as one, mAP^r of masks or VOC's AP of boxes.

    masks: whether the detections have masks; they are scored where the data set has some, too. binary_thresh: mask
    probability from which a pixel is on.

    Raises EvaluationError: several image sets in one, or a data set without a protocol.
    """
    masks = masks and dataset.has_masks
    if isinstance(dataset, COCO):
        return CocoEvaluator(
            dataset.annotation_file,
            dataset.image_ids,
            dataset.sizes,
            dataset.category_ids,
            dataset.classes,
            os.path.basename(dataset.image_set),
            binary_thresh,
            masks,
        )
    if isinstance(dataset, PascalVOC):
        entries = dataset.entries()
        return (
            SdsEvaluator(entries, dataset.classes, binary_thresh)
            if masks
            else VocBoxEvaluator(entries, dataset.classes)
        )
    if isinstance(dataset, VOCXml):
        return VocBoxEvaluator(dataset.entries(), dataset.classes)
    if isinstance(dataset, JoinedDetectionSet):
        raise EvaluationError(f"{dataset.name} is several image sets: test them one at a time")
    raise EvaluationError(f"{dataset.name}: there is no evaluation for a {type(dataset).__name__}")
