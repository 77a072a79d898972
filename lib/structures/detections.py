"""What a network found in one image, and the file that keeps what it found in a whole set of them."""

from __future__ import annotations

import json
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np

from fullconv.lib.utils import atomic

_DAMAGE = (SyntaxError, tokenize.TokenError, NotImplementedError, RuntimeError, MemoryError, RecursionError)
"""What numpy and zipfile let through of damaged headers besides errors of values and of reading."""


@dataclass(frozen=True, eq=False)
class Detections:
    """m detections of one image, in any order.

    boxes: (m, 4) float x1, y1, x2, y2 with inclusive ends in pixels of the original image. scores: (m,) float.
    labels: (m,) int from 1. masks: (m, M, M) float32 probabilities inside the box; None from a method without masks.

    Raises ValueError: arrays of other shapes or of different lengths, a label below 1.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: Optional[np.ndarray] = None

    def __post_init__(self) -> None:
        found = {"boxes": _real(self.boxes), "scores": _real(self.scores), "labels": _whole(self.labels)}
        if self.masks is not None:
            found["masks"] = np.asarray(self.masks, np.float32)
        for name, value in found.items():
            object.__setattr__(self, name, value)
        self._check_shapes()

    def _check_shapes(self) -> None:
        count = len(self.boxes)
        if self.boxes.shape != (count, 4) or self.scores.shape != (count,) or self.labels.shape != (count,):
            raise ValueError(
                f"detections have boxes {self.boxes.shape}, scores {self.scores.shape} and labels "
                f"{self.labels.shape}: need (m, 4), (m,) and (m,)"
            )
        masks = self.masks
        if masks is not None and (masks.ndim != 3 or len(masks) != count or masks.shape[1] != masks.shape[2]):
            raise ValueError(f"detections have {count} boxes and masks {masks.shape}: need ({count}, M, M)")
        if count and self.labels.min() < 1:
            raise ValueError(f"detections have label {self.labels.min()}: classes count from 1, 0 is the background")

    def __len__(self) -> int:
        return len(self.boxes)

    def select(self, rows: np.ndarray) -> Detections:
        """Those at an array of indices, in its order, or where an array of m bools is True."""
        rows = np.asarray(rows)
        rows = rows.astype(np.int64) if rows.size == 0 and rows.dtype != bool else rows
        masks = None if self.masks is None else self.masks[rows]
        return Detections(self.boxes[rows], self.scores[rows], self.labels[rows], masks)

    def above(self, thresh: Union[float, np.ndarray]) -> Detections:
        """Those with a score of at least `thresh`, one number or one per label, the first label 0's."""
        return self.select(self.scores >= (thresh[self.labels] if isinstance(thresh, np.ndarray) else thresh))

    def best_first(self) -> Detections:
        """In descending order of score; equal scores keep their order."""
        return self.select(np.argsort(-self.scores, kind="stable"))

    def of_class(self, label: int) -> Detections:
        """Those of one class, in their order."""
        return self.select(self.labels == label)

    @staticmethod
    def empty(mask_size: Optional[int] = None) -> Detections:
        """No detection; of a method with masks of side `mask_size`."""
        masks = None if mask_size is None else np.zeros((0, mask_size, mask_size), np.float32)
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), masks)

    @staticmethod
    def concatenate(parts: Sequence[Detections]) -> Detections:
        """All of them, one part after the other; no part gives no detection, without masks.

        Raises ValueError: some parts have masks and some have none, or masks of different sizes.
        """
        if not parts:
            return Detections.empty()
        return Detections(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.labels for part in parts]),
            _joined_masks(parts),
        )


def _real(array: Any) -> np.ndarray:
    array = np.asarray(array)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _whole(array: Any) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind in "iu":
        return array
    if not np.array_equal(array, np.floor(array)):
        raise ValueError(f"detections have labels of {array.dtype} that are no whole numbers")
    return array.astype(np.int64)


def _joined_masks(parts: Sequence[Detections]) -> Optional[np.ndarray]:
    masks = [part.masks for part in parts if part.masks is not None]
    if not masks:
        return None
    sizes = sorted({part.shape[1] for part in masks})
    if len(masks) < len(parts) or len(sizes) > 1:
        raise ValueError(
            f"detections of {len(parts)} parts do not join: {len(masks)} of them have masks, of side "
            f"{', '.join(map(str, sizes))}; all must come from one network"
        )
    return np.concatenate(masks)


def save_detections(path: Path, key: Dict[str, Any], detections: Sequence[Detections]) -> None:
    """Write the detections of a set's images, in its order, under `key` (json-like), which says what made them.

    Raises ValueError as `Detections.concatenate`; OSError when the folder cannot be written, and an older file at
    `path` then stays as it was.
    """
    path, found = Path(path), Detections.concatenate(detections)
    arrays = {
        "key": np.array(json.dumps(key, sort_keys=True)),
        "counts": np.array([len(part) for part in detections], dtype=np.int64),
        "boxes": found.boxes,
        "scores": found.scores,
        "labels": found.labels,
    }
    if found.masks is not None:
        arrays["masks"] = found.masks
    atomic.write_npz(str(path), arrays, compressed=True)


def load_detections(path: Path, key: Dict[str, Any]) -> Optional[List[Detections]]:
    """What `save_detections` wrote, or None if there is no such file, it is damaged, or its key is another one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["key"]) != json.dumps(key, sort_keys=True):
                return None
            masks = file["masks"] if "masks" in file.files else None
            found = Detections(file["boxes"], file["scores"], file["labels"], masks)
            return _split(found, file["counts"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, *_DAMAGE):
        return None


def _split(found: Detections, counts: np.ndarray) -> List[Detections]:
    ends = np.cumsum(counts).tolist()
    if counts.ndim != 1 or (counts < 0).any() or (ends or [0])[-1] != len(found):
        raise ValueError(f"{len(found)} detections, but the counts of the images say otherwise")
    return [found.select(np.arange(end - count, end)) for end, count in zip(ends, counts.tolist())]
