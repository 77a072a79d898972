"""Segment proposals as COCO result files: written, read with care, and compared with the truth.

A file holds one record per proposal, {"image_id", "category_id": 1, "segmentation": run-length code, "score"}, as
pycocotools and the tools of other programs write and read them.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np
from pycocotools import mask as rle_api

from fullconv.lib.dataset.detection.coco_format import in_order, read_json
from fullconv.lib.dataset.detection.run_lengths import RLEError, run_lengths
from fullconv.lib.dataset.text_files import read_text
from fullconv.lib.evaluation.average_recall import IOU_THRESHOLDS, Recall, best_first, mask_overlaps, recall
from fullconv.lib.evaluation.coco_annotations import load_ground_truth, numbers
from fullconv.lib.evaluation.sanity import EvaluationError
from fullconv.lib.utils import atomic

Code = Dict[str, Any]
"""COCO run-length code: {"size": [height, width], "counts": str}."""


class Segments(NamedTuple):
    """Proposals of one image: m run-length codes and m scores."""

    codes: Sequence[Code]
    scores: np.ndarray

    def first(self, most: int) -> Segments:
        """The best `most`, best first; equal scores as they come."""
        order = best_first(self.scores, most)
        return Segments([self.codes[i] for i in order], np.asarray(self.scores)[order])


@dataclass(frozen=True)
class Truth:
    """The objects of a COCO annotation file, groups left out.

    path: the file. sizes: image id -> (height, width), of all its images. codes: image id -> masks, of those images
    that are looked at.
    """

    path: str
    sizes: Mapping[Any, Tuple[int, int]]
    codes: Mapping[Any, Sequence[Code]]


def read_truth(path: str, first: int = 0) -> Truth:
    """Objects of all classes of all images, or of the `first` images by id (the paper's 5000 of COCO).

    Raises DatasetError: no such file, or not a COCO file. EvaluationError: damaged annotations, or none.
    """
    data = read_json(path)
    images = {image.get("id"): image for image in data["images"]}
    ids = in_order(images)[: first or None]
    sizes = {key: (image.get("height"), image.get("width")) for key, image in images.items()}
    categories = in_order(category.get("id") for category in data["categories"])
    names = {category.get("id"): category.get("name") for category in data["categories"]}
    coco = load_ground_truth(path, ids, [sizes[key] for key in ids], categories, ["", *(names[c] for c in categories)])
    if coco is None:
        raise EvaluationError(f"{path} has no annotations: proposals are compared with a training or validation set")
    place = numbers(ids)

    def objects(key: Any) -> List[Code]:
        # Class by class, as pycocotools has them: of equally good objects a proposal takes the last.
        found = sorted(coco.imgToAnns.get(place[key], []), key=lambda annotation: annotation["category_id"])
        return [coco.annToRLE(annotation) for annotation in found if not annotation["iscrowd"]]

    return Truth(path, sizes, {key: objects(key) for key in ids})


def write_proposals(path: str, proposals: Iterable[Tuple[Any, Segments]]) -> int:
    """Write (image id, its proposals) one after the other, a record a line; how many were written.

    The file is replaced as a whole at the end. Raises OSError: the folder cannot be written.
    """
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    written = 0

    def fill(file: atomic.Writable) -> None:
        nonlocal written
        file.write(b"[\n")
        for line in _lines(proposals):
            file.write((",\n" if written else "").encode() + line.encode())
            written += 1
        file.write(b"\n]\n")

    atomic.write(path, fill)
    return written


def _lines(proposals: Iterable[Tuple[Any, Segments]]) -> Iterator[str]:
    for key, segments in proposals:
        key = key.item() if isinstance(key, np.generic) else key
        for code, score in zip(segments.codes, np.asarray(segments.scores).tolist()):
            record = {"image_id": key, "category_id": 1, "segmentation": code, "score": score}
            yield json.dumps(record, sort_keys=True)


def read_proposals(path: str, sizes: Mapping[Any, Tuple[int, int]]) -> Dict[Any, Segments]:
    """The proposals of every image of `sizes` (id -> height, width), in the file's order; none for one it leaves out.

    Raises DatasetError: no such file. EvaluationError, naming file, record and remedy: not a COCO result file, images
    that are not in `sizes`, masks of another size, damaged codes, scores that are no numbers.
    """
    text = read_text(path, "proposals file")
    try:
        records = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EvaluationError(f"{path}: not a JSON file ({error}): write the proposals again") from error
    if not isinstance(records, list):
        raise EvaluationError(f"{path}: not a list of records, as a COCO result file is: was an annotation file given?")
    found: Dict[Any, Tuple[List[Code], List[float]]] = {key: ([], []) for key in sizes}
    for index, record in enumerate(records):
        try:
            key, code, score = _checked(record, sizes)
        except ValueError as error:
            raise EvaluationError(f"{path}: record {index}: {error}") from error
        found[key][0].append(code)
        found[key][1].append(score)
    return {key: Segments(codes, np.array(scores, np.float64)) for key, (codes, scores) in found.items()}


def _checked(record: Any, sizes: Mapping[Any, Tuple[int, int]]) -> Tuple[Any, Code, float]:
    """Image id, run-length code and score of a record. Raises ValueError saying what is wrong."""
    if not isinstance(record, dict):
        raise ValueError(f"is {type(record).__name__}, not an object with image_id, segmentation and score")
    key, score, code = (record.get(field) for field in ("image_id", "score", "segmentation"))
    if not isinstance(key, (int, str)) or key not in sizes:
        hint = " (numbers and text are different ids)" if str(key) in map(str, sizes) else ""
        raise ValueError(f"image_id {key!r} is no image of the annotations{hint}: they belong to another image set")
    if not isinstance(score, (int, float)) or isinstance(score, bool) or not np.isfinite(score):
        raise ValueError(f"score {score!r} is not a finite number")
    if not isinstance(code, dict):
        raise ValueError("field 'segmentation' is no run-length code: proposals are compared by their masks")
    height, width = sizes[key]
    try:
        runs = run_lengths(code, (height, width))
    except RLEError as error:
        raise ValueError(f"mask of image {key!r}: {error}; proposals are for images in their original size") from error
    size, counts = [height, width], code["counts"]
    if not isinstance(counts, str):
        counts = rle_api.frPyObjects({"size": size, "counts": runs.tolist()}, height, width)["counts"].decode("ascii")
    return key, {"size": size, "counts": counts}, float(score)


def file_recall(
    truth: Truth,
    proposals: Mapping[Any, Segments],
    counts: Sequence[int] = (10, 100, 1000),
    thresholds: Sequence[float] = IOU_THRESHOLDS,
    definition: str = "coco",
) -> Recall:
    """Recall of proposals of a COCO set; an image they leave out has none, and its objects are missed."""
    return recall(segment_overlaps(truth, proposals, max(counts)), counts, thresholds, definition)


def segment_overlaps(truth: Truth, proposals: Mapping[Any, Segments], most: int) -> List[np.ndarray]:
    """Per image, IoU (m, n) of the best `most` proposals with the objects: what `recall` wants, of any definition."""
    none = Segments([], np.zeros(0))
    return [mask_overlaps(proposals.get(key, none).first(most).codes, objects) for key, objects in truth.codes.items()]
