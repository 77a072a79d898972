"""Reports what is in a data set and what is wrong with it, before hours of training find out.

    python -m fullconv.lib.tools.check --dataset coco --dataset_path DIR --image_set NAME

Prints the objects per class and every problem with its record; exits with 1 when the set cannot be used.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

import numpy as np

from fullconv.lib.dataset import NAMES, build
from fullconv.lib.dataset.detection.coco import find_annotations
from fullconv.lib.dataset.detection.coco_format import Problem, find_problems, read_json
from fullconv.lib.dataset.detection.imdb import IMDB, Entry, parse_image_set
from fullconv.lib.dataset.image import read_image
from fullconv.lib.mask.mask_cache import load_masks


def check_records(dataset_path: str, image_set: str) -> list[Problem]:
    """Problems in the annotation files of a COCO data set, all of them."""
    problems: list[Problem] = []
    for name, _ in parse_image_set(image_set):
        path = find_annotations(dataset_path, name)
        problems += [Problem(f"{path}: {p.record}", p.text, p.fatal) for p in find_problems(read_json(path))]
    return problems


def check_entries(imdb: IMDB) -> tuple[list[Entry], list[Problem]]:
    """Reads every image and mask; returns the entries that could be read, and the problems found."""
    entries, problems = [], []
    for part in getattr(imdb, "parts", [imdb]):
        for index in range(len(part)):
            try:
                entry = part.read_entry(index)
                entries.append(entry)
                problems += _check_entry(entry)
            except ValueError as error:
                problems.append(Problem(f"{part.name}: image {part.image_ids[index]}", str(error)))
    return entries, problems


def _check_entry(entry: Entry) -> list[Problem]:
    record = f"image {entry['image_id']}"
    shape = read_image(entry["image"]).shape[:2]
    if shape != (entry["height"], entry["width"]):
        return [Problem(record, f"{entry['image']} decodes to {shape}, not to the size in its header: save it again")]
    empty = np.flatnonzero(~load_masks(entry).any(axis=(1, 2)))
    problems = [Problem(record, f"object {i} has a mask without pixels", fatal=False) for i in empty.tolist()]
    if not len(entry["boxes"]):
        problems.append(Problem(record, "has no objects and is not trained on", fatal=False))
    return problems


def report(imdb: IMDB, entries: list[Entry]) -> str:
    """Counts per class and in total, as a table."""
    counts = Counter(int(label) for entry in entries for label in entry["gt_classes"])
    lines = [f"{imdb.name}: {len(entries)} images, {sum(counts.values())} objects, {imdb.num_classes - 1} classes"]
    lines += [f"  {counts[index]:7d}  {name}" for index, name in enumerate(imdb.classes) if index]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Check a data set.")
    parser.add_argument("--dataset", required=True, choices=NAMES, help="as dataset.dataset in a config")
    parser.add_argument("--image_set", required=True, help="for example train2014, SDS_train, train[:12]")
    parser.add_argument("--dataset_path", default="", help="folder of the data; default below root_path")
    parser.add_argument("--root_path", default="./data", help="folder of caches")
    args = parser.parse_args(argv)
    problems: list[Problem] = []
    try:
        if args.dataset == "coco":
            problems = check_records(args.dataset_path or f"{args.root_path}/coco", args.image_set)
        if not any(problem.fatal for problem in problems):
            imdb = build(args.dataset, args.image_set, args.root_path, args.dataset_path)
            entries, more = check_entries(imdb)
            problems += more
            print(report(imdb, entries))
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
