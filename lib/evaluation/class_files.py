"""Detections class by class on disk, as the original leaves them: a file of boxes and one of masks for each class.

The original writes pickles, lists over images, `<class>_det.pkl` of (m, 5) arrays and `<class>_seg.pkl` of (m, M, M).
These are plain arrays, which no reading can execute: all rows of a class, and how many belong to each image.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Sequence, Union

import numpy as np

from fullconv.lib.structures.detections import Detections
from fullconv.lib.utils import atomic


class ClassFile(NamedTuple):
    """One class. image_ids: of all images, as text. boxes: per image (m, 5) x1, y1, x2, y2, score. masks: (m, M, M)."""

    image_ids: List[str]
    boxes: List[np.ndarray]
    masks: Optional[List[np.ndarray]]


def write_class_files(
    folder: Union[str, Path], classes: Sequence[str], image_ids: Sequence[Any], detections: Sequence[Detections]
) -> None:
    """Write `<class>_det.npz` (image_ids, counts, boxes) of every class into `folder`, which is made, and where there
    are masks `<class>_seg.npz` (image_ids, counts, masks). Rows are in descending order of score within an image.

    classes: names, background first. Raises OSError: the folder cannot be written.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    ids = np.array([str(image_id) for image_id in image_ids])
    for label, name in enumerate(classes[1:], start=1):
        mine = [found.of_class(label).best_first() for found in detections]
        common = {"image_ids": ids, "counts": np.array([len(found) for found in mine], np.int64)}
        rows = [np.column_stack([found.boxes, found.scores]).astype(np.float32) for found in mine]
        arrays = {**common, "boxes": np.concatenate([np.zeros((0, 5), "f4"), *rows])}
        atomic.write_npz(str(_path(folder, name, "det")), arrays, compressed=True)
        masks = [found.masks for found in mine if found.masks is not None]
        if masks and len(masks) == len(mine):
            arrays = {**common, "masks": np.concatenate(masks)}
            atomic.write_npz(str(_path(folder, name, "seg")), arrays, compressed=True)


def read_class_file(folder: Union[str, Path], name: str) -> ClassFile:
    """What `write_class_files` wrote for the class called `name`.

    Raises FileNotFoundError: no such class there; ValueError: the file is damaged.
    """
    boxes, ids = _read(_path(folder, name, "det"), "boxes")
    path = _path(folder, name, "seg")
    return ClassFile(ids, boxes, _read(path, "masks")[0] if path.is_file() else None)


def _path(folder: Union[str, Path], name: str, kind: str) -> Path:
    """A class may be called "n/a"."""
    return Path(folder) / f"{name.replace('/', '_')}_{kind}.npz"


def _read(path: Path, key: str) -> tuple[List[np.ndarray], List[str]]:
    with np.load(path, allow_pickle=False) as file:
        counts = file["counts"]
        if counts.sum() != len(file[key]):
            raise ValueError(f"{path}: {len(file[key])} rows, but the counts of the images say {counts.sum()}")
        return np.split(file[key], np.cumsum(counts)[:-1]), file["image_ids"].tolist()
