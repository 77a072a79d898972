"""Reports what is in a data set and what is wrong with it, before hours of training find out.

    python -m fullconv.lib.tools.check --dataset coco --dataset_path DIR --image_set NAME

Prints the objects per class and every problem with its record; exits with 1 when the set cannot be used.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

import numpy as np

from fullconv.lib.dataset.detection.coco_files import find_annotations
from fullconv.lib.dataset.detection.coco_format import find_problems, read_json
from fullconv.lib.dataset.detection.detection_set import DetectionSet
from fullconv.lib.dataset.detection.problem import Problem
from fullconv.lib.dataset.image import read_image
from fullconv.lib.dataset.image_sets import parse_image_set
from fullconv.lib.dataset.registry import DETECTION, add_arguments, detection_from
from fullconv.lib.structures.entry import Entry


def check_records(dataset_path: str, image_set: str, masks: bool = True) -> list[Problem]:
    """Problems in the annotation files of a COCO data set, all of them; those of masks only with `masks`."""
    problems: list[Problem] = []
    for name, _ in parse_image_set(image_set):
        path = find_annotations(dataset_path, name)
        problems += [Problem(f"{path}: {p.record}", p.text, p.fatal) for p in find_problems(read_json(path), masks)]
    return problems


def check_entries(dataset: DetectionSet) -> tuple[list[Entry], list[Problem]]:
    """Reads every image and mask; returns the entries that could be read, and the problems found."""
    entries, problems = [], []
    for index, image_id in enumerate(dataset.image_ids):
        try:
            entry = dataset.read_entry(index)
            entries.append(entry)
            problems += _check_entry(entry)
        except ValueError as error:
            problems.append(Problem(f"{dataset.name}: image {image_id}", str(error)))
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
    if not len(entry.boxes):
        problems.append(Problem(record, "has no objects and is not trained on", fatal=False))
    return problems


def report(dataset: DetectionSet, entries: list[Entry]) -> str:
    """Counts per class and in total, as a table."""
    counts = Counter(int(label) for entry in entries for label in entry.classes)
    lines = [
        f"{dataset.name}: {len(entries)} images, {sum(counts.values())} objects, {dataset.num_classes - 1} classes"
    ]
    lines += [f"  {counts[index]:7d}  {name}" for index, name in enumerate(dataset.classes) if index]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Check a data set.")
    add_arguments(parser, DETECTION)
    args = parser.parse_args(argv)
    problems: list[Problem] = []
    try:
        if args.dataset == "coco":
            problems = check_records(args.dataset_path or f"{args.root_path}/coco", args.image_set, not args.boxes)
        if not any(problem.fatal for problem in problems):
            dataset = detection_from(args)
            entries, more = check_entries(dataset)
            problems += more
            print(report(dataset, entries))
    except ValueError as error:
        problems.append(Problem(args.dataset, str(error)))
    return _print_problems(problems)


def _print_problems(problems: list[Problem]) -> int:
    for problem in problems:
        print(f"{'error' if problem.fatal else 'note'}: {problem}")
    fatal = sum(problem.fatal for problem in problems)
    print(f"{fatal} errors, {len(problems) - fatal} notes")
    return 1 if fatal else 0


if __name__ == "__main__":
    sys.exit(main())
