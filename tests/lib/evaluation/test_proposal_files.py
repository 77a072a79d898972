"""Proposals as COCO result files: there and back, and what is wrong with foreign ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import pytest

from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.evaluation.proposal_files import (
    Segments,
    file_recall,
    read_proposals,
    read_truth,
    write_proposals,
)
from fullconv.lib.evaluation.sanity import EvaluationError
from fullconv.lib.mask.encode import encode_mask

SIZES = {3: (10, 12), 1: (8, 6)}


def square(size: tuple, top: int, left: int, side: int = 4) -> Dict[str, Any]:
    mask = np.zeros(size, bool)
    mask[top : top + side, left : left + side] = True
    return encode_mask(mask)


@pytest.fixture()
def truth_file(tmp_path: Path) -> str:
    """Two objects in image 3, a group too, and none in image 1."""
    codes = [square(SIZES[3], 0, 0), square(SIZES[3], 5, 5), square(SIZES[3], 0, 6)]
    annotations = [
        {"id": i, "image_id": 3, "category_id": 2 - i % 2, "segmentation": code, "iscrowd": int(i == 2)}
        for i, code in enumerate(codes)
    ]
    data = {
        "images": [{"id": k, "file_name": f"{k}.jpg", "height": h, "width": w} for k, (h, w) in SIZES.items()],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": annotations,
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(data))
    return str(path)


@pytest.fixture()
def write(tmp_path: Path) -> Callable[[Any], str]:
    def call(content: Any) -> str:
        path = tmp_path / "proposals.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return call


def record(**changed: Any) -> List[Dict[str, Any]]:
    return [{"image_id": 3, "category_id": 1, "score": 0.5, "segmentation": square(SIZES[3], 0, 0), **changed}]


def test_there_and_back(tmp_path: Path) -> None:
    path = str(tmp_path / "new" / "proposals.json")
    segments = Segments([square(SIZES[3], 0, 0), square(SIZES[3], 1, 1)], np.array([0.25, 1 / 3]))
    assert write_proposals(path, [(3, segments), (np.int64(1), Segments([], np.zeros(0)))]) == 2
    found = read_proposals(path, SIZES)
    assert found[3].codes == segments.codes and found[3].scores.tolist() == segments.scores.tolist()
    assert found[1].codes == [] and list(found) == [3, 1]
    assert found[3].first(1).codes == [segments.codes[1]]
    assert all(r["category_id"] == 1 for r in json.loads(Path(path).read_text()))
    assert write_proposals(path, []) == 0 and not len(read_proposals(path, SIZES)[3].scores)


def test_recall_of_a_file(truth_file: str, write: Callable) -> None:
    truth = read_truth(truth_file)
    assert {key: len(codes) for key, codes in truth.codes.items()} == {1: 0, 3: 2}  # by id, without the group
    perfect = read_proposals(write(record() + record(segmentation=square(SIZES[3], 5, 5), score=0.4)), truth.sizes)
    found = file_recall(truth, perfect, (1, 2))
    assert found.average == [0.5, 1.0] and found.objects == 2
    assert file_recall(truth, {}, (1, 2)).average == [0, 0]  # no proposals: all are missed
    assert file_recall(read_truth(truth_file, first=1), {}).objects == 0  # image 1 comes first


def test_plain_run_lengths_are_read(write: Callable) -> None:
    plain = {"size": [10, 12], "counts": [0, 4, 6, 4, 6, 4, 6, 4, 86]}
    found = read_proposals(write(record(segmentation=plain)), SIZES)
    assert found[3].codes == [square(SIZES[3], 0, 0)]


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"image_id": 9}, "image_id 9 is no image of the annotations: they belong to another image set"),
        ({"image_id": "3"}, r"image_id '3' is no image .* \(numbers and text are different ids\)"),
        ({"image_id": None}, "image_id None is no image"),
        ({"image_id": [3]}, r"image_id \[3\] is no image"),
        ({"image_id": 1}, r"mask of image 1: size \[10, 12\] is not .* \[8, 6\]; .* in their original size"),
        ({"score": float("nan")}, "score nan is not a finite number"),
        ({"score": "high"}, "score 'high' is not a finite number"),
        ({"segmentation": [[0, 0, 4, 0, 4, 4]]}, "field 'segmentation' is no run-length code"),
        ({"segmentation": None}, "field 'segmentation' is no run-length code"),
        ({"segmentation": {"size": [10, 12], "counts": "4"}}, "mask of image 3: counts sum to 4"),
        ({"segmentation": {"size": [10, 12], "counts": "\x01"}}, "mask of image 3: counts is not a compressed"),
        ({"segmentation": {"size": [10, 12], "counts": [-5, 125]}}, "mask of image 3: counts must be"),
    ],
)
def test_wrong_records(changed: Dict[str, Any], message: str, write: Callable) -> None:
    with pytest.raises(EvaluationError, match="proposals.json: record 1: " + message):
        read_proposals(write(record() + record(**changed)), SIZES)


@pytest.mark.parametrize(
    "content, message",
    [
        ("[", "not a JSON file"),
        ({"images": []}, "not a list of records, as a COCO result file is: was an annotation file given"),
        ([7], "record 0: is int, not an object with image_id, segmentation and score"),
        ("[" * 100000, "not a JSON file"),
    ],
)
def test_wrong_files(content: Any, message: str, write: Callable) -> None:
    with pytest.raises(EvaluationError, match=message):
        read_proposals(write(content), SIZES)


def test_missing_files(tmp_path: Path) -> None:
    for read in (lambda path: read_proposals(path, SIZES), read_truth):
        with pytest.raises(DatasetError, match="nowhere.json"):
            read(str(tmp_path / "nowhere.json"))


def test_truth_without_annotations(tmp_path: Path) -> None:
    path = tmp_path / "test.json"
    images = [{"id": 1, "file_name": "1.jpg", "height": 4, "width": 4}]
    path.write_text(json.dumps({"images": images, "categories": [{"id": 1, "name": "a"}]}))
    with pytest.raises(EvaluationError, match="has no annotations: proposals are compared with a training or valid"):
        read_truth(str(path))
