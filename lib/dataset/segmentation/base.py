"""What every semantic segmentation set offers.

A set has images in one or more forms (`inputs`: data, or color, depth and hha) and labels for one or more tasks
(`tasks`: label, or sem and geo). Labels are (h, w) uint8: 0 to C - 1, and 255 where nothing is labelled.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np

from fullconv.lib.dataset.background import is_background
from fullconv.lib.dataset.colours import Palette
from fullconv.lib.dataset.errors import DatasetError
from fullconv.lib.dataset.image import image_size, open_picture, read_image
from fullconv.lib.dataset.image_sets import ImageSet, Parts, check_ids, unique_ids
from fullconv.lib.dataset.segmentation.label_files import VOID

ILSVRC_MEAN = np.array([104.00699, 116.66877, 122.67892])
"""B, G, R; float64, so that it is subtracted in float64, as the original's VOC layers do."""


class SegmentationSet(ImageSet):
    """Images with per-pixel labels.

    name, image_ids, limit: see ImageSet. tasks: class names per task, class 0 first. means: per input, what to
    subtract, in the input's channel order; the dtype is the precision of the subtraction, which is the original's and
    differs between its sets. palette: of labels that are colour-coded.
    """

    palette: Palette | None = None

    def __init__(
        self,
        name: str,
        image_ids: Sequence[str],
        tasks: Mapping[str, Sequence[str]],
        means: Mapping[str, np.ndarray],
        limit: int | None = None,
    ) -> None:
        super().__init__(name, image_ids, limit)
        check_ids(self.name, self.image_ids)
        self.tasks = {task: list(classes) for task, classes in tasks.items()}
        self.means = dict(means)
        self._seen_classes = False  # by `_check_binary`
        for task, classes in self.tasks.items():
            if not 0 < len(classes) <= VOID:
                raise DatasetError(f"{name}: task {task} has {len(classes)} classes: 8-bit labels allow 1 to {VOID}")

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the forms an image comes in."""
        return tuple(self.means)

    def image_file(self, index: int, name: str = "data") -> str:
        """Path of the image in the form `name`."""
        raise NotImplementedError

    def label_file(self, index: int, task: str = "label") -> str:
        """Path of the label for `task`."""
        raise NotImplementedError

    def _raw_label(self, path: str, task: str, size: tuple[int, int]) -> np.ndarray:
        """(h, w) integers: the class, or VOID."""
        raise NotImplementedError

    def size(self, index: int) -> tuple[int, int]:
        """(height, width), from the header of the image's first form."""
        return image_size(self.image_file(index, self.inputs[0]))

    def read_input(self, index: int, name: str = "data") -> np.ndarray:
        """(h, w, 3) uint8 B, G, R; `hha` keeps the file's channel order, `depth` is (h, w) of the file's integers.

        Raises DatasetError (unknown form, damaged depth) or ImageError.
        """
        self._check_name(name, self.means, "input")
        path = self.image_file(index, name)
        if name == "depth":
            return read_depth(path)
        image = read_image(path)
        # The original reads HHA as the PNG stores it and reverses colour images only.
        return np.ascontiguousarray(image[:, :, ::-1]) if name == "hha" else image

    def read_label(self, index: int, task: str = "label", check: bool = True) -> np.ndarray:
        """(h, w) uint8, 255 = void. With `check` False values that are no class stay in (int64 then).

        Raises DatasetError: unknown task, missing or damaged file, another size than the image, values that are
        neither a class nor 255, or a set whose labels are all 0 and 255.
        """
        self._check_name(task, self.tasks, "task")
        path = self.label_file(index, task)
        labels = self._raw_label(path, task, self.size(index))
        if not check:
            return labels.astype(np.int64)
        check_range(path, labels, len(self.tasks[task]))
        if not self._seen_classes and self._may_be_binary(task) and not _has_objects(labels):
            self._check_binary(task, index)
        return labels.astype(np.uint8)

    def _may_be_binary(self, task: str) -> bool:
        """Whether an image with nothing but class 0 and void is odd: not where class 0 is one of many (wall, sky)."""
        classes = self.tasks[task]
        return len(classes) <= 2 or is_background(classes[0])

    def _check_binary(self, task: str, index: int) -> None:
        """DatasetError where all labels of the set are 0 and 255: masks of the object that would train as void.

        A set is looked through until a label has a class besides 0, which in most is the first, and only once.
        """
        found: set[int] = set()
        for other in [index, *range(len(self))]:
            try:
                labels = self._raw_label(self.label_file(other, task), task, self.size(other))
            except ValueError:
                continue  # missing or damaged, which whoever reads it is told
            found.update(np.unique(labels).tolist())
            if found - {0, VOID}:
                break
        if found == {0, VOID}:
            raise DatasetError(
                f"{self.name}: all labels are 0 or 255, and 255 is void, so there is nothing but class 0 to learn: "
                "masks written as 0 and 255 need 1 for the object"
            )
        self._seen_classes = True

    def read_instances(self, index: int) -> np.ndarray:
        """(h, w) uint8 instance ids, 0 background, 255 void. Raises DatasetError as `read_label`, or if it has none."""
        raise DatasetError(f"{self.name} has no instance maps: leave --instances out")

    def _check_name(self, name: str, known: Mapping[str, Any], what: str) -> None:
        if name not in known:
            raise DatasetError(f"{self.name} has no {what} {name!r}: it has {', '.join(known)}")


class JoinedSegmentation(SegmentationSet):
    """Several sets of one kind, one after the other: what `train+val` means.

    Images of equal ids get other ones, as predictions are called after them.
    """

    def __init__(self, parts: Sequence[SegmentationSet]) -> None:
        joined, first = Parts(parts), parts[0]
        if any(part.tasks != first.tasks or part.inputs != first.inputs for part in parts):
            raise DatasetError(f"{joined.name}: sets with different classes cannot be joined")
        super().__init__(joined.name, unique_ids(joined.image_ids), first.tasks, first.means)
        self.palette = first.palette
        self.parts, self._at = joined.parts, joined.at

    def image_file(self, index: int, name: str = "data") -> str:
        part, place = self._at(index)
        return part.image_file(place, name)

    def label_file(self, index: int, task: str = "label") -> str:
        part, place = self._at(index)
        return part.label_file(place, task)

    def read_label(self, index: int, task: str = "label", check: bool = True) -> np.ndarray:
        part, place = self._at(index)
        return part.read_label(place, task, check)

    def read_instances(self, index: int) -> np.ndarray:
        part, place = self._at(index)
        return part.read_instances(place)


def _has_objects(labels: np.ndarray) -> bool:
    return bool(((labels != 0) & (labels != VOID)).any())


def check_range(path: str, labels: np.ndarray, num_classes: int) -> None:
    """DatasetError naming the values of `labels` that are neither 0 to num_classes - 1 nor 255."""
    wrong = (labels != VOID) & ((labels < 0) | (labels >= num_classes))
    if wrong.any():
        values = np.unique(labels[wrong])
        shown = ", ".join(str(v) for v in values[:8]) + (", ..." if len(values) > 8 else "")
        raise DatasetError(
            f"{path}: {int(wrong.sum())} pixels have label {shown}, but there are {num_classes} classes, 0 to "
            f"{num_classes - 1}, and 255 for void: correct the label, the class list, or name void labels"
        )


def read_depth(path: str) -> np.ndarray:
    """A depth PNG, (h, w) uint8 or uint16, larger is farther.

    Raises DatasetError: not one channel, or zeros, which mean "not measured" and have no logarithm. ImageError as
    `read_image`.
    """
    image_size(path)
    try:
        with open_picture(path) as image:
            mode, depth = image.mode, np.array(image)
    except Exception as error:  # PIL's readers raise many kinds on damaged files
        raise DatasetError(f"{path}: the depth image is truncated or damaged ({error}): copy it again") from error
    if mode not in ("L", "I;16", "I"):
        raise DatasetError(f"{path}: the depth image is of kind {mode}: give a PNG of one channel, 8 or 16 bits")
    missing = int(np.count_nonzero(depth == 0))
    if missing:
        raise DatasetError(f"{path}: depth is 0 (not measured) at {missing} pixels: use depth with the holes filled")
    return depth
