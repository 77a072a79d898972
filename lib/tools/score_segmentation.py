"""Scores of predictions as files, and files from scores.

    python -m fullconv.lib.tools.score_segmentation --dataset voc --image_set val --dataset_path DIR --predictions DIR

reads `<id>.png` index PNGs (of a set with several tasks `<task>/<id>.png`), of this or any other program, at the
images' original size, prints the table and with --out writes what `write_report` writes.
"""

from __future__ import annotations

import argparse
import json
import os
from functools import partial
from typing import BinaryIO, Mapping

import cv2
import numpy as np

from fullconv.lib.dataset.registry import SEGMENTATION, add_arguments, segmentation_from
from fullconv.lib.dataset.segmentation.base import SegmentationSet
from fullconv.lib.dataset.segmentation.label_files import read_label_png
from fullconv.lib.evaluation.sanity import EvaluationError
from fullconv.lib.evaluation.segmentation import SegmentationEvaluator, format_table
from fullconv.lib.utils import atomic
from fullconv.lib.visualize.confusion import confusion_picture


def write_report(evaluator: SegmentationEvaluator, folder: str) -> None:
    """Write scores.json and per task `<task>.txt` (the table) and `<task>_confusion.png`, each replaced as a whole.

    scores.json: task -> the numbers of `Scores.as_dict`, null where undefined, and the confusion matrix, rows are
    the truth. Raises EvaluationError: nothing was evaluated. OSError: the folder cannot be written.
    """
    result = evaluator.result()
    os.makedirs(folder, exist_ok=True)
    numbers = {}
    for task, found in result.items():
        classes = evaluator.dataset.tasks[task]
        values = {name: None if np.isnan(v) else v for name, v in found.as_dict(classes).items()}
        matrix = evaluator.matrices[task]
        numbers[task] = {**values, "classes": classes, "confusion matrix": matrix.tolist()}
        atomic.write_text(os.path.join(folder, f"{task}.txt"), format_table(found, classes) + "\n")
        picture = cv2.imencode(".png", confusion_picture(matrix, classes))[1].tobytes()
        atomic.write(os.path.join(folder, f"{task}_confusion.png"), partial(_write, picture))
    summary = {"dataset": evaluator.dataset.name, "images": evaluator.images, "tasks": numbers}
    atomic.write_text(os.path.join(folder, "scores.json"), json.dumps(summary, indent=1, allow_nan=False) + "\n")


def _write(data: bytes, file: BinaryIO) -> None:
    file.write(data)


def score_files(dataset: SegmentationSet, folders: Mapping[str, str]) -> SegmentationEvaluator:
    """The evaluator after reading `<folder of the task>/<id>.png` of every image.

    Raises EvaluationError naming what is missing; DatasetError for a file that is no index PNG or has another size.
    """
    evaluator = SegmentationEvaluator(dataset)
    files = [{t: os.path.join(f, f"{i}.png") for t, f in folders.items()} for i in dataset.image_ids]
    missing = [path for paths in files for path in paths.values() if not os.path.isfile(path)]
    if missing:
        raise EvaluationError(
            f"{len(missing)} predictions are missing, first {missing[0]}: every image of the split needs one, named "
            "after its id"
        )
    for index, paths in enumerate(files):
        size = dataset.size(index)
        evaluator.add(index, {task: read_label_png(path, size) for task, path in paths.items()})
    return evaluator


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Score segmentation predictions stored as index PNGs.")
    add_arguments(parser, SEGMENTATION)
    parser.add_argument("--predictions", required=True, help="folder of <id>.png, or <task>/<id>.png")
    parser.add_argument("--out", default="", help="folder for scores.json, tables and confusion pictures")
    args = parser.parse_args(argv)
    try:
        dataset = segmentation_from(args)
        several = len(dataset.tasks) > 1
        folders = {t: os.path.join(args.predictions, t) if several else args.predictions for t in dataset.tasks}
        evaluator = score_files(dataset, folders)
    except ValueError as error:  # DatasetError, ImageError and EvaluationError name the file and the remedy
        print(error)
        return 1
    for task, result in evaluator.result().items():
        print(f"{dataset.name}, {task}, {evaluator.images} images, in percent")
        print(format_table(result, dataset.tasks[task]))
    if args.out:
        write_report(evaluator, args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
