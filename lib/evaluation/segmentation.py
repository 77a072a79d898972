"""Semantic segmentation scores from a confusion matrix ("Fully Convolutional Networks", section 5, Metrics).

Letters: C classes, h and w of one image at its original size. Pixels whose truth is not 0 to C - 1 (255, void) count
nowhere.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Mapping, Sequence

import numpy as np

from fullconv.lib.dataset.segmentation.base import SegmentationSet
from fullconv.lib.dataset.segmentation.palette import write_palette_png
from fullconv.lib.evaluation.sanity import EvaluationError


def confusion_matrix(truth: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    """(C, C) int64 counts of pixels, rows are the truth. truth, prediction: any one shape, integral values.

    Raises EvaluationError: shapes that differ, or a labelled pixel predicted as none of the classes.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.shape != prediction.shape:
        raise EvaluationError(
            f"the truth is {truth.shape} but the prediction {prediction.shape}: predict at the image's original size"
        )
    counted = (truth >= 0) & (truth < num_classes)
    rows, columns = truth[counted].astype(np.int64), prediction[counted].astype(np.int64)
    if columns.size and not 0 <= columns.min() <= columns.max() < num_classes:
        raise EvaluationError(
            f"predicted labels run from {columns.min()} to {columns.max()}, but classes are 0 to {num_classes - 1}: "
            "was this made by a network with other classes?"
        )
    # One number for a pair of labels, so that one pass counts the whole matrix.
    counts = np.bincount(num_classes * rows + columns, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


@dataclass(frozen=True)
class Scores:
    """What a confusion matrix says; shares of 1, nan where nothing is there to divide by.

    mean_iu: mean over classes that occur in truth or prediction; one that is only predicted counts 0 (the original's
    number). mean_iu_present: mean over the classes of the truth alone, as papers report sets with absent classes.
    accuracy, iu: (C,) per class. pixels: (C,) of the truth.
    """

    overall_accuracy: float
    mean_accuracy: float
    mean_iu: float
    mean_iu_present: float
    fwavacc: float
    accuracy: np.ndarray
    iu: np.ndarray
    pixels: np.ndarray

    def absent(self, classes: Sequence[str]) -> list[str]:
        """Names of the classes without a pixel in the truth."""
        return [name for name, count in zip(classes, self.pixels) if not count]

    def as_dict(self, classes: Sequence[str]) -> dict[str, float]:
        """Flat numbers for a log; the names of the first, second, third and fifth are the original's."""
        result = {
            "overall accuracy": self.overall_accuracy,
            "mean accuracy": self.mean_accuracy,
            "mean IU": self.mean_iu,
            "mean IU (classes in the truth)": self.mean_iu_present,
            "fwavacc": self.fwavacc,
        }
        result.update({f"accuracy/{name}": float(v) for name, v in zip(classes, self.accuracy)})
        result.update({f"IU/{name}": float(v) for name, v in zip(classes, self.iu)})
        return result


def scores(matrix: np.ndarray) -> Scores:
    """Pixel accuracy, mean accuracy, mean IU and frequency-weighted IU of a confusion matrix (C, C)."""
    matrix = np.asarray(matrix, np.float64)
    hits, truth, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    # 0 / 0 is nan for a class that neither occurs nor is predicted; one that is only predicted has an IU of 0.
    accuracy, iu = _divide(hits, truth), _divide(hits, truth + predicted - hits)
    present = truth > 0
    return Scores(
        overall_accuracy=float(_divide(hits.sum(), matrix.sum())),
        mean_accuracy=_mean(accuracy[present]),
        mean_iu=_mean(iu[~np.isnan(iu)]),
        mean_iu_present=_mean(iu[present]),
        fwavacc=float((truth[present] / matrix.sum() * iu[present]).sum()) if present.any() else float("nan"),
        accuracy=accuracy,
        iu=iu,
        pixels=truth.astype(np.int64),
    )


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.true_divide(a, b)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def softmax_loss(score: np.ndarray, truth: np.ndarray) -> float:
    """Caffe's unnormalised loss of one image: sum over labelled pixels of -log softmax, in float64.

    score: (C, h, w); truth: (h, w), values that are no class are ignored.
    """
    score = np.asarray(score, np.float64)
    # Sums of exponentials stay finite so, and the difference cancels.
    score = score - score.max(axis=0)
    counted = (truth >= 0) & (truth < len(score))
    # Void labels are no index; what stands in for them is left out at the end.
    picked = np.take_along_axis(score, np.where(counted, truth, 0)[None].astype(np.int64), axis=0)[0]
    return float((np.log(np.exp(score).sum(axis=0)) - picked)[counted].sum())


class SegmentationEvaluator:
    """Scores the predictions of a set image by image, each at its original size; only the matrices are kept.

    output_dir: where predictions go as palette PNGs, `<id>.png`, in a folder per task where there are several; None
    writes nothing.
    """

    def __init__(self, dataset: SegmentationSet, output_dir: str | None = None) -> None:
        self.dataset, self.output_dir = dataset, output_dir
        self.matrices = {task: np.zeros((len(c), len(c)), np.int64) for task, c in dataset.tasks.items()}
        self.losses = dict.fromkeys(dataset.tasks, 0.0)
        self.images = 0

    def add(self, index: int, predictions: Mapping[str, np.ndarray], losses: Mapping[str, float] | None = None) -> None:
        """Count image `index`. predictions: (h, w) class indices per task; losses: of this image, per task.

        Raises EvaluationError naming the image: another size than the label, or values that are no class.
        """
        # All tasks are counted before any is added, so an image that is refused leaves the sums as they were.
        counts = {task: self._count(index, task, prediction) for task, prediction in predictions.items()}
        for task, prediction in predictions.items():
            self.matrices[task] += counts[task]
            self.losses[task] += float((losses or {}).get(task, 0.0))
            if self.output_dir is not None:
                self._write(self.output_dir, task, self.dataset.image_ids[index], prediction)
        self.images += 1

    def _count(self, index: int, task: str, prediction: np.ndarray) -> np.ndarray:
        truth = self.dataset.read_label(index, task)
        try:
            return confusion_matrix(truth, prediction, len(self.dataset.tasks[task]))
        except EvaluationError as error:
            raise EvaluationError(f"image {self.dataset.image_ids[index]}, {task}: {error}") from None

    def _write(self, folder: str, task: str, image_id: str, prediction: np.ndarray) -> None:
        folder = os.path.join(folder, task) if len(self.dataset.tasks) > 1 else folder
        path = os.path.join(folder, f"{image_id}.png")
        os.makedirs(os.path.dirname(path), exist_ok=True)  # ids may have a folder
        write_palette_png(path, prediction)

    def result(self) -> dict[str, Scores]:
        """Scores per task. Raises EvaluationError when no image was counted."""
        if not self.images:
            raise EvaluationError(f"{self.dataset.name}: no image was evaluated")
        return {task: scores(matrix) for task, matrix in self.matrices.items()}

    def mean_loss(self, task: str) -> float:
        """Sum of the losses given to `add` over the number of images (original's behaviour)."""
        return self.losses[task] / max(self.images, 1)


def format_table(result: Scores, classes: Sequence[str]) -> str:
    """Scores in percent: one line per class, the means below; absent classes are treated both ways, and named."""
    width = max(len(name) for name in [*classes, "mean IU (classes in the truth)"])
    total = max(int(result.pixels.sum()), 1)
    lines = [f"{'':<{width}}{'accuracy':>10}{'IU':>9}{'pixels':>9}"]
    for name, accuracy, iu, pixels in zip(classes, result.accuracy, result.iu, result.pixels):
        lines.append(f"{name:<{width}}{_percent(accuracy):>10}{_percent(iu):>9}{_percent(pixels / total):>9}")
    means = list(result.as_dict([]).items())
    lines += [f"{name:<{width}}{_percent(value):>10}" for name, value in means]
    absent = result.absent(classes)
    if absent:
        shown = [f"{name} (predicted)" if result.iu[classes.index(name)] == 0 else name for name in absent]
        lines.append(
            f"({len(absent)} of {len(classes)} classes do not occur in the truth: {', '.join(shown)}. In mean IU"
        )
        lines.append(
            " those predicted somewhere count 0, as in the original; the line below it leaves all of them out.)"
        )
    return "\n".join(lines)


def _percent(value: float) -> str:
    return "n/a" if np.isnan(value) else f"{100 * value:.2f}"


def original_log(result: Scores, loss: float, iteration: int, time: str) -> list[str]:
    """The lines the original prints, which scripts of its users parse: `>>> <time> Iteration <i> <name> <value>`."""
    values = {
        "loss": loss,
        "overall accuracy": result.overall_accuracy,
        "mean accuracy": result.mean_accuracy,
        "mean IU": result.mean_iu,
        "fwavacc": result.fwavacc,
    }
    return [f">>> {time} Iteration {iteration} {name} {value}" for name, value in values.items()]
