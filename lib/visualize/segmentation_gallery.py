"""Label maps laid over their images, for people."""

from __future__ import annotations

from typing import Callable, Iterator, Sequence

import numpy as np

from fullconv.lib.dataset.background import is_background
from fullconv.lib.dataset.segmentation.base import SegmentationSet
from fullconv.lib.dataset.segmentation.label_files import VOID
from fullconv.lib.dataset.segmentation.palette import make_palette
from fullconv.lib.visualize.instances import side_by_side
from fullconv.lib.visualize.page import Picture
from fullconv.lib.visualize.segmentation import legend, overlay


def palette_of(classes: Sequence[str]) -> np.ndarray:
    """(C, 3) uint8 R, G, B: VOC's colours; where class 0 is no background it gets a colour too, not black."""
    first = 0 if is_background(classes[0]) else 1
    return make_palette(min(len(classes) + first, 256))[first:]


def draw_labels(image: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Image (h, w, 3) uint8 BGR with the colours of labels (h, w) over it; void and background stay clear."""
    # One up, as the overlay leaves 0 clear and class 0 may be one to be shown. int64, since 255 + 1 is 0 in uint8.
    shown = labels.astype(np.int64) + 1
    shown[(labels == VOID) | ((labels == 0) & is_background(classes[0]))] = 0
    palette = np.concatenate([np.zeros((1, 3), np.uint8), palette_of(classes)])
    # The palette is R, G, B and the image B, G, R.
    return overlay(image[:, :, ::-1], shown, palette)[:, :, ::-1]


def add_legend(picture: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """A picture (h, w, 3) BGR with the names of the classes that occur in `labels` to its right."""
    present = [int(label) for label in np.unique(labels) if label < len(classes)]
    names = legend(classes, palette_of(classes), present)[:, :, ::-1]
    height = max(picture.shape[0], names.shape[0])
    canvas = np.full((height, picture.shape[1] + names.shape[1], 3), 255, np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture
    canvas[: names.shape[0], picture.shape[1] :] = names
    return canvas


def comparisons(
    dataset: SegmentationSet, task: str, count: int, predicted: Callable[[int], np.ndarray]
) -> Iterator[Picture]:
    """Truth beside prediction of the first `count` images. predicted(index) -> (h, w) labels."""
    classes = dataset.tasks[task]
    # People look at colours, not at depth.
    form = "color" if "color" in dataset.inputs else dataset.inputs[0]
    for index in range(min(count, len(dataset))):
        image, truth, labels = dataset.read_input(index, form), dataset.read_label(index, task), predicted(index)
        counted = truth != VOID
        right = float((truth == labels)[counted].mean()) if counted.any() else 1.0
        picture = side_by_side(draw_labels(image, truth, classes), draw_labels(image, labels, classes))
        picture = add_legend(picture, np.union1d(truth, labels), classes)
        caption = f"truth and prediction; {100 * right:.1f} % of the labelled pixels are right"
        yield Picture(f"{dataset.image_ids[index]}.jpg", picture, caption, right)
