"""Average recall of segment proposals, and their curves of recall over IoU in one picture.

    python -m fullconv.lib.tools.compare_proposals GT.json ours=A.json B.json --out DIR

GT.json is a COCO annotation file with masks, the others are COCO result files, of this or any other program; `NAME=`
before one is its name in the picture. Prints a table and with --out writes recall_curves.png, recall_curves.csv and
average_recall.json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from typing import Dict, Sequence, Tuple

from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.evaluation.average_recall import CURVE_THRESHOLDS, DEFINITIONS, Recall, recall
from fullconv.lib.evaluation.proposal_files import Truth, read_proposals, read_truth, segment_overlaps
from fullconv.lib.evaluation.sanity import EvaluationError
from fullconv.lib.utils import atomic
from fullconv.lib.visualize.recall_curves import write_recall_csv, write_recall_curves


def named_files(arguments: Sequence[str]) -> Dict[str, str]:
    """Name -> file of `NAME=FILE` or `FILE`, which is named after itself. Raises ValueError: a name twice."""
    files: Dict[str, str] = {}
    for argument in arguments:
        name, separator, path = argument.partition("=")
        if not separator or os.path.exists(argument):
            name, path = os.path.splitext(os.path.basename(argument))[0], argument
        if name in files:
            raise ValueError(f"two files are called {name}: write another name before one, as other={path}")
        files[name] = path
    return files


def compare(
    truth: Truth, files: Dict[str, str], counts: Sequence[int], definition: str
) -> Tuple[Dict[str, Recall], Dict[str, Recall]]:
    """Recall of each file at COCO's thresholds, and along the curve. Says which images a file leaves out."""
    averages, curves = {}, {}
    for name, path in files.items():
        proposals = read_proposals(path, truth.sizes)
        empty = sum(not len(proposals[key].scores) for key in truth.codes)
        if empty:
            print(f"{name}: no proposals for {empty} of {len(truth.codes)} images, whose objects count as missed")
        overlaps = segment_overlaps(truth, proposals, max(counts))
        averages[name] = recall(overlaps, counts, definition=definition)
        curves[name] = recall(overlaps, counts, CURVE_THRESHOLDS, definition)
    return averages, curves


def table(averages: Dict[str, Recall]) -> str:
    """A line per file: average recall at each count, in percent."""
    found = list(averages.values())
    width = max(map(len, averages))
    head = f"{'':<{width}}" + "".join(f"{f'AR@{count}':>9}" for count in found[0].counts)
    lines = [f"{name:<{width}}" + "".join(f"{100 * v:9.2f}" for v in r.average) for name, r in averages.items()]
    return "\n".join([head, *lines, f"({found[0].objects} objects)"])


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fullconv.lib.tools.compare_proposals", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("truth", help="COCO annotation file with masks")
    parser.add_argument("proposals", nargs="+", help="COCO result files, FILE or NAME=FILE")
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 100, 1000], help="how many of each image")
    parser.add_argument("--definition", choices=DEFINITIONS, default="coco", help="of recall (default: coco)")
    parser.add_argument("--first", type=int, default=0, help="only so many images, by id (the paper: 5000 of COCO)")
    parser.add_argument("--out", default="", help="folder for the picture and the numbers")
    args = parser.parse_args(argv)
    if min(args.counts) < 1 or args.first < 0:
        parser.error("--counts must be 1 or more, --first not negative")
    try:
        files = named_files(args.proposals)
        averages, curves = compare(read_truth(args.truth, args.first), files, sorted(set(args.counts)), args.definition)
    except (EvaluationError, DatasetError, ValueError, OSError) as error:
        print(f"compare_proposals: {error}", file=sys.stderr)
        return 2
    print(table(averages))
    if args.out:
        write_recall_curves(curves, os.path.join(args.out, "recall_curves.png"), averages)
        write_recall_csv(curves, os.path.join(args.out, "recall_curves.csv"))
        numbers = {
            name: {key: value if math.isfinite(value) else None for key, value in found.as_dict().items()}
            for name, found in averages.items()
        }
        summary = {"truth": args.truth, "definition": args.definition, "proposals": numbers}
        atomic.write_text(os.path.join(args.out, "average_recall.json"), json.dumps(summary, indent=1) + "\n")
        print(f"written to {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
