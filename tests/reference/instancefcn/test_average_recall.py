"""Average recall in all definitions against the recorded images, and against pycocotools itself."""

from __future__ import annotations

import contextlib
import io
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fullconv.lib.evaluation.average_recall import (
    CURVE_THRESHOLDS,
    IOU_THRESHOLDS,
    best_first,
    continuous_recall,
    mask_overlaps,
    recall,
)
from fullconv.lib.mask.encode import encode_mask

Image = Tuple[List[Dict[str, Any]], np.ndarray, List[Dict[str, Any]], np.ndarray]


@pytest.fixture(scope="module")
def reference(instancefcn_reference: Callable) -> Dict[str, np.ndarray]:
    return instancefcn_reference("ar")


@pytest.fixture(scope="module")
def images(reference: Dict[str, np.ndarray]) -> List[Image]:
    """Codes and scores of the proposals, codes of the objects and whether they are crowds, of every image."""

    def codes(packed: np.ndarray) -> List[Dict[str, Any]]:
        return [encode_mask(mask) for mask in np.unpackbits(packed, axis=-1)[..., :48].astype(bool)]

    numbers = range(int(reference["n_img"]))
    keys = ("prop", "score", "gt", "crowd")
    rows = [[reference[f"{key}{i}"] for key in keys] for i in numbers]
    return [(codes(proposals), scores, codes(objects), crowd) for proposals, scores, objects, crowd in rows]


@pytest.fixture(scope="module")
def overlaps(images: List[Image]) -> List[np.ndarray]:
    found = []
    for proposals, scores, objects, crowd in images:
        ordered = [proposals[i] for i in best_first(scores, 1000)]
        found.append(mask_overlaps(ordered, [code for code, many in zip(objects, crowd) if not many]))
    return found


def test_coco_definition(reference: Dict[str, np.ndarray], overlaps: List[np.ndarray]) -> None:
    found = recall(overlaps, reference["Ns"].tolist())
    assert found.objects == reference["npos"]
    np.testing.assert_allclose(found.thresholds, reference["thr"], atol=1e-12)
    np.testing.assert_allclose(found.recall.T, reference["recall"], atol=1e-12)
    np.testing.assert_allclose(found.recall.T, reference["pycoco_recall"], atol=1e-12)
    np.testing.assert_allclose(found.average, reference["AR"], atol=1e-12)


@pytest.mark.parametrize("definition, key", [("best", "AR_best10"), ("cover", "AR_cover10")])
def test_other_definitions(
    definition: str, key: str, reference: Dict[str, np.ndarray], overlaps: List[np.ndarray]
) -> None:
    found = recall(overlaps, reference["Ns"].tolist(), reference["thr"], definition)
    np.testing.assert_allclose(found.average, reference[key], atol=1e-12)


def test_overlaps_of_both(reference: Dict[str, np.ndarray], overlaps: List[np.ndarray]) -> None:
    """Object by object: as many as are above any threshold, whichever object it is."""
    for definition, key in (("best", "best_iou"), ("cover", "cover_iou")):
        for row, count in zip(reference[key], reference["Ns"].tolist()):
            thresholds = np.unique(row)
            found = recall(overlaps, [count], thresholds, definition).recall[0]
            np.testing.assert_allclose(found, [(row >= t - 1e-9).mean() for t in thresholds], atol=1e-12)


def test_curve_and_its_area(reference: Dict[str, np.ndarray], overlaps: List[np.ndarray]) -> None:
    found = recall(overlaps, reference["Ns"].tolist(), CURVE_THRESHOLDS, "best")
    np.testing.assert_allclose(found.thresholds, reference["curve_thr"], atol=1e-12)
    np.testing.assert_allclose(found.recall, reference["curve_best"], atol=1e-12)
    areas = continuous_recall(overlaps, reference["Ns"].tolist())
    np.testing.assert_allclose(areas, reference["AR_continuous"], atol=1e-12)


def test_pycocotools_itself(images: List[Image], overlaps: List[np.ndarray]) -> None:
    """With the crowds, which take proposals there and are nobody's here."""
    annotations, results = [], []
    for number, (proposals, scores, objects, crowd) in enumerate(images, 1):
        for code, many in zip(objects, crowd):
            entry = {"image_id": number, "category_id": 1, "segmentation": code, "area": 1, "iscrowd": int(many)}
            annotations.append({**entry, "id": len(annotations) + 1, "bbox": [0, 0, 1, 1]})
        for code, score in zip(proposals, scores):
            results.append({"image_id": number, "category_id": 1, "segmentation": code, "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": n, "height": 40, "width": 48} for n in range(1, len(images) + 1)],
            "categories": [{"id": 1, "name": "thing"}],
            "annotations": annotations,
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "segm")
        evaluation.params.useCats, evaluation.params.maxDets = 0, [10, 100, 1000]
        evaluation.evaluate()
        evaluation.accumulate()
    assert tuple(evaluation.params.iouThrs) == IOU_THRESHOLDS
    found = recall(overlaps, (10, 100, 1000))
    np.testing.assert_allclose(found.recall.T, evaluation.eval["recall"][:, 0, 0], atol=1e-12)
