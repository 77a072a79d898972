"""Reports what is in a data set and what is wrong with it, before hours of training find out.

    python -m fullconv.lib.tools.check PATH                                 a folder, or a COCO json
    python -m fullconv.lib.tools.check PATH --dataset folder --image_set train --void 11
    python -m fullconv.lib.tools.check --dataset coco --dataset_path DIR --image_set train
    python -m fullconv.lib.tools.check export.json --fix DIR/annotations/train.json

Prints the objects or pixels of each class, a line for every kind of problem, and the config lines for the methods
that can use the set. The exit status is 1 when something is wrong that bars a set from use.
"""

from __future__ import annotations

import argparse
import signal
import sys
from typing import Callable, Sequence

from fullconv.lib.dataset.detection.coco_format import Problem
from fullconv.lib.dataset.registry import DETECTION
from fullconv.lib.tools import check_labels, check_objects, findings
from fullconv.lib.tools.coco_fix.fixer import fix_file
from fullconv.lib.tools.config_lines import config_lines
from fullconv.lib.tools.data_forms import Found, of_json
from fullconv.lib.tools.set_arguments import add_arguments, chosen


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--decode", action="store_true", help="labels: read images whole too, not only their headers")
    parser.add_argument("--all", action="store_true", help="a line for every problem, not one for each kind")
    parser.add_argument(
        "--fix", metavar="OUT.json", default="", help="write a COCO json in which all is clear is mended"
    )
    args = parser.parse_args(argv)
    try:
        sets = chosen(args)
        if args.fix:
            return _fix(sets, args)
    except ValueError as error:
        print(f"error: {error}")
        return 1
    return check_all(sets, args)


def _fix(sets: Sequence[Found], args: argparse.Namespace) -> int:
    """Writes the mended json, says what was changed and what could not be decided, and checks it."""
    if len(sets) > 1:
        names = ", ".join(found.image_set for found in sets)
        raise ValueError(f"--fix takes one json, here are {names}: name it as PATH, or its --image_set")
    ledger = fix_file(sets[0], args.fix)
    print(f"{args.fix}: written from {sets[0].file}")
    for line in [*ledger.lines(), *findings.lines(ledger.undecided, args.all)]:
        print(line)
    if not ledger.changes and not ledger.undecided:
        print("nothing was changed")
    if any(problem.fatal for problem in ledger.undecided):
        print(f"{findings.count_line(ledger.undecided)} left in {args.fix}: correct {sets[0].file} and run this again")
        return 1
    print()
    return check_all([of_json(args.fix)], args)


def check_all(sets: Sequence[Found], args: argparse.Namespace) -> int:
    """Checks and prints one set after the other, then the config lines of the sound ones."""
    every: list[Problem] = []
    usable = []
    for found in sets:
        print(f"{found.dataset}, image_set {found.image_set}, dataset_path {found.path}")
        look: Callable[..., tuple[Found, list[Problem]]]
        look = _check_objects if found.kind == DETECTION else _check_labels
        try:
            as_read, problems = look(found, args)
        except ValueError as error:
            as_read, problems = found, [Problem(found.dataset, str(error))]
        for line in findings.lines(problems, args.all):
            print(line)
        mended = found.image_set.endswith("_fixed")  # what --fix has left there it leaves again
        if found.file and not (args.fix or mended) and any(problem.fatal for problem in problems):
            place = f"{found.path}/annotations/{found.image_set}_fixed.json"
            print(f"`python -m fullconv.lib.tools.check {found.file} --fix {place}` mends what has one right reading")
        print()
        every += problems
        if not any(problem.fatal for problem in problems):
            usable.append(as_read)
    for line in config_lines(usable):
        print(line)
    print(findings.count_line(every))
    return 1 if any(problem.fatal for problem in every) else 0


def _check_objects(found: Found, args: argparse.Namespace) -> tuple[Found, list[Problem]]:
    """The set as it can be read, with masks or without, and its problems."""
    problems: list[Problem] = []
    count = None
    if found.dataset == "coco":
        results = [check_objects.check_coco(file, args.boxes) for file in check_objects.annotation_files(found)]
        problems = [problem for records in results for problem in records.problems]
        count = sum(records.annotations for records in results)
        if not all(records.masks for records in results):
            found = check_objects.without_masks(found)
    elif args.boxes:
        found = check_objects.without_masks(found)
    if not found.readable:
        problems.append(Problem(found.file, check_objects.not_readable(found)))
    if not any(problem.fatal for problem in problems):
        dataset = found.open(args.root_path)
        entries, more = check_objects.check_entries(dataset)
        problems += [*more, *check_objects.check_objects_left(dataset, entries, count)]
        print(check_objects.report(dataset, entries))
    return found, problems


def _check_labels(found: Found, args: argparse.Namespace) -> tuple[Found, list[Problem]]:
    dataset = found.open(args.root_path)
    reports = check_labels.check(dataset, args.decode)
    print(f"{dataset.name}: {len(dataset)} images")
    print("\n\n".join(check_labels.table(report) for report in reports))
    return found, [problem for report in reports for problem in report.problems]


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `check DIR | head` ends quietly, as other tools do
    sys.exit(main())
