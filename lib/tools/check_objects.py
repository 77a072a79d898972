"""Looks through a set of objects: its records, and every image and mask."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from fullconv.lib.dataset.detection.coco_files import find_annotations
from fullconv.lib.dataset.detection.coco_format import Problem, find_problems, read_json
from fullconv.lib.dataset.detection.detection_set import DetectionSet, with_objects
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image import read_image
from fullconv.lib.dataset.image_sets import parse_image_set
from fullconv.lib.structures.entry import Entry
from fullconv.lib.tools.data_forms import Found


def annotation_files(found: Found) -> list[str]:
    """The json of a COCO set, of each of its parts where it is joined. Raises DatasetError: there is none."""
    if found.file:
        return [found.file]
    return [find_annotations(found.path, name) for name, _ in parse_image_set(found.image_set)]


def has_segmentations(records: list[Any]) -> bool:
    """Whether any annotation brings a mask, good or bad; boxes without masks are a set of another kind."""
    return any(isinstance(record, dict) and record.get("segmentation") not in (None, []) for record in records)


def without_masks(found: Found) -> Found:
    """The set with its boxes alone."""
    return replace(found, options={**found.options, "masks": False})


def as_readable(found: Found, boxes: bool = False) -> Found:
    """The set with its masks, or without where its annotations have none or `boxes` asks for that.

    Raises DatasetError: a json that is none of COCO's, or not where training looks for it.
    """
    if not found.readable:
        raise DatasetError(f"{found.file}: {not_readable(found)}")
    if found.dataset == "coco" and not boxes:
        lists = [read_json(file)["annotations"] for file in annotation_files(found)]
        boxes = any(records and not has_segmentations(records) for records in lists)
    return without_masks(found) if boxes else found


def not_readable(found: Found) -> str:
    """What to do about a set whose annotations its reader does not find."""
    place = f"{found.path}/annotations/{found.image_set}.json"
    return (
        "training does not look for annotations there, "
        f"`python -m fullconv.lib.tools.check {found.file} --fix {place}` writes them where it does"
    )


class Records(NamedTuple):
    """What a COCO file holds. masks: whether there are any to look at; annotations: how many."""

    masks: bool
    annotations: int
    problems: list[Problem]


def check_coco(file: str, boxes: bool = False) -> Records:
    """Looks at the records of a file, with `boxes` not at masks. Raises DatasetError: it is no COCO json."""
    data = read_json(file)
    records = data["annotations"]
    masks = not boxes and (not records or has_segmentations(records))
    problems = find_problems(data, masks)
    if not masks and not boxes:
        text = f"none of the {len(records)} annotations has a segmentation: for detection without masks"
        problems.append(Problem(file, text, fatal=False))
    crowds = sum(isinstance(record, dict) and record.get("iscrowd") in (1, True) for record in records)
    if crowds:
        text = f"{crowds} of {len(records)} annotations are crowds and are not trained on: make iscrowd 0 for single "
        problems.append(Problem(file, f"{text}objects", fatal=False))
    return Records(masks, len(records), problems)


def check_objects_left(dataset: DetectionSet, entries: list[Entry], annotations: int | None) -> list[Problem]:
    """An error where no image has an object. annotations: of a COCO file, which may have none, as test sets do."""
    if annotations == 0 or not entries or any(not flat_objects(entry).all() for entry in with_objects(entries)):
        return []
    text = "no object is left to train on: what is void, a crowd, outside of its image or has an area of 0 is not one"
    return [Problem(dataset.name, text)]


def check_entries(dataset: DetectionSet) -> tuple[list[Entry], list[Problem]]:
    """Reads every image and mask; returns the entries that could be read, and the problems found."""
    entries, problems = [], []
    for index, image_id in enumerate(dataset.image_ids):
        try:
            entry = dataset.read_entry(index)
            entries.append(entry)
            problems += _check_entry(entry)
        except ValueError as error:  # DatasetError and ImageError, which name the file
            problems.append(Problem(f"image {image_id}", str(error)))
    return entries, problems


def _check_entry(entry: Entry) -> list[Problem]:
    record = f"image {entry.image_id}"
    shape = read_image(entry.image).shape[:2]
    if shape != entry.size:
        return [Problem(record, f"{entry.image} decodes to {shape}, not to the size in its header: save it again")]
    problems = []
    if entry.masks is not None:
        empty = np.flatnonzero(~entry.read_masks().any(axis=(1, 2)))
        problems = [Problem(record, f"object {i} has a mask without pixels", fatal=False) for i in empty.tolist()]
    for index in np.flatnonzero(flat_objects(entry)).tolist():
        box = entry.boxes[index].tolist()
        problems.append(Problem(record, f"object {index} has a box without width or height, {box}", fatal=False))
    if not len(entry.boxes):
        problems.append(Problem(record, "has no objects and is not trained on", fatal=False))
    return problems


def flat_objects(entry: Entry) -> np.ndarray:
    """(objects,) bool: the box has no width or height; where there are masks, they say what an object is."""
    if entry.masks is not None:
        return np.zeros(len(entry.boxes), bool)
    return (entry.boxes[:, 2:] <= entry.boxes[:, :2]).any(axis=1)


def report(dataset: DetectionSet, entries: list[Entry]) -> str:
    """Counts per class and in total, as a table."""
    counts = Counter(int(label) for entry in entries for label in entry.classes)
    lines = [
        f"{dataset.name}: {len(entries)} images, {sum(counts.values())} objects, {dataset.num_classes - 1} classes"
    ]
    lines += [f"  {counts[index]:7d}  {name}" for index, name in enumerate(dataset.classes) if index]
    return "\n".join(lines)
